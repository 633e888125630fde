"""No way back: a data directory of a later feature level is refused, and is as it was."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from tests.fakes.feature_levels import machines_at, raise_entry

from weftmesh.agent.features.data_dir import PIECE_BYTES, check_data_dir
from weftmesh.agent.raft.core.fencing import MARK, payload_of
from weftmesh.agent.raft.log.wal import WriteAheadLog
from weftmesh.agent.raft.ports import Entry
from weftmesh.agent.raft.snapshots.store import SnapshotStore
from weftmesh.core.features.levels import SUPPORTED_LEVEL, UnsupportedLevelError
from weftmesh.mesh.v1 import features_pb2, raft_pb2
from weftmesh.runtime.wire.machine_rows import FEATURES, wrapped

TOO_HIGH = SUPPORTED_LEVEL + 1


def write_log(directory: Path, *levels: int) -> None:
    """A log of one bare entry and one fence for each level, as a node writes it."""

    def failed(error: OSError) -> None:
        raise error

    log = WriteAheadLog.open(directory / "wal", fsync=False, on_failure=failed)
    payloads = [raft_pb2.LogPayload(command=b"x"), *(payload_of(raise_entry(level), level) for level in levels)]
    log.append([Entry(2 + at, 1, payload.SerializeToString()) for at, payload in enumerate(payloads)])
    log.close()


def write_snapshot(directory: Path, level: int) -> None:
    rows = [features_pb2.FeaturesRow(level=one).SerializeToString() for one in range(2, level + 1)]
    header = raft_pb2.SnapshotHeader(format=1, last_index=7, last_term=1, cluster="test")
    SnapshotStore(directory / "snapshots", "test").write(
        header, iter([*wrapped(FEATURES, rows), *machines_at(1).snapshot()()])
    )


def contents(directory: Path) -> dict[str, tuple[int, str]]:
    return {
        str(path.relative_to(directory)): (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("log", ["mesh", "local"])
def test_a_log_of_a_later_level_is_refused_and_stays_as_it_is(tmp_path: Path, log: str) -> None:
    write_log(tmp_path / log, *range(2, TOO_HIGH + 1))
    before = contents(tmp_path)

    with pytest.raises(UnsupportedLevelError, match=f"{log}/wal: entry .* needs feature level {TOO_HIGH}"):
        check_data_dir(tmp_path)

    assert contents(tmp_path) == before


def test_a_snapshot_of_a_later_level_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    write_snapshot(tmp_path / "mesh", TOO_HIGH)
    before = contents(tmp_path)

    with pytest.raises(UnsupportedLevelError, match=f"snapshot needs feature level {TOO_HIGH}"):
        check_data_dir(tmp_path)

    assert contents(tmp_path) == before


def test_what_this_build_supports_is_let_in(tmp_path: Path) -> None:
    write_log(tmp_path / "mesh", *range(2, SUPPORTED_LEVEL + 1))
    write_snapshot(tmp_path / "mesh", SUPPORTED_LEVEL)
    write_snapshot(tmp_path / "local", 1)

    check_data_dir(tmp_path)


@pytest.mark.parametrize("before_bytes", [0, PIECE_BYTES - 100, PIECE_BYTES - 70])
def test_a_fence_is_found_wherever_it_stands_and_its_mark_alone_is_none(tmp_path: Path, before_bytes: int) -> None:
    log = WriteAheadLog.open(tmp_path / "mesh" / "wal", fsync=False, on_failure=print)
    payload = raft_pb2.LogPayload(command=bytes(before_bytes) + MARK).SerializeToString()
    log.append([Entry(2, 1, payload)])
    check_data_dir(tmp_path)

    log.append([Entry(3, 1, payload_of(raise_entry(TOO_HIGH), TOO_HIGH).SerializeToString())])
    log.close()

    with pytest.raises(UnsupportedLevelError):
        check_data_dir(tmp_path)


def test_a_new_node_has_nothing_to_check(tmp_path: Path) -> None:
    check_data_dir(tmp_path)


def test_what_is_damaged_is_left_to_those_who_open_it(tmp_path: Path) -> None:
    (tmp_path / "mesh" / "snapshots").mkdir(parents=True)
    (tmp_path / "mesh" / "snapshots" / "7-1.snapshot").write_bytes(b"no snapshot")

    check_data_dir(tmp_path)
