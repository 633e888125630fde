"""Backup files without a node: whole ones are restored, others refused before anything is written."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.core.board.random_logs import random_log

from weftmesh.client.backup.opening import open_backup
from weftmesh.client.backup.restoring import check_fresh, chosen_places, restore_backup
from weftmesh.client.backup.sealing import load_identity, make_identity, parse_recipients, sealed
from weftmesh.core.board.machine import Board
from weftmesh.core.board.state import BoardState
from weftmesh.core.errors import DataCorruptionError, PreconditionError, WeftmeshError
from weftmesh.mesh.v1 import backup_pb2, raft_pb2
from weftmesh.runtime.identity.founding import NodeRecord
from weftmesh.runtime.wire.backup_parts import FORMAT, MAGIC, closing_of, packed
from weftmesh.runtime.wire.snapshot_file import SnapshotReader, encode
from weftmesh.runtime.wire.snapshot_rows import rows_of, state_from_rows

Parts = list[backup_pb2.BackupPart]


def board_of(seed: int) -> BoardState:
    board = Board()
    for command in random_log(seed, 120):
        header = replace(command.header, request_digest=int(command.header.request_digest))
        board.apply(replace(command, header=header))
    return board.freeze()


def parts_of(states: dict[str, BoardState]) -> Parts:
    """What a node would stream."""
    opening = backup_pb2.BackupOpening(format=FORMAT, cluster="old", node="n1", version="1")
    data, digest, size_bytes = [], hashlib.sha256(), 0
    for number, (home, state) in enumerate(states.items()):
        opening.boards.add(
            home=home, revision=state.revision, state_hash=state.state_hash.hex(), applied_index=40 + number
        )
        header = raft_pb2.SnapshotHeader(format=1, last_index=40 + number, last_term=7, cluster="old")
        for piece in encode(header, rows_of(state)):
            data.append(backup_pb2.BackupPart(data=backup_pb2.BackupData(board=number, data=piece)))
            digest.update(piece)
            size_bytes += len(piece)
    return [backup_pb2.BackupPart(opening=opening), *data, closing_of(digest, size_bytes)]


class Shelf:
    """A directory with an identity, and backup files for it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._recipients = parse_recipients([make_identity(directory / "key")])
        self.identity = load_identity(directory / "key")

    def put(self, parts: Sequence[backup_pb2.BackupPart], magic: bytes = MAGIC, tail: bytes = b"") -> Path:
        path = self.directory / "board.age"
        with path.open("wb") as out, sealed(out, self._recipients) as plain:
            plain.write(magic + b"".join(map(packed, parts)) + tail)
        return path


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def found_node(directory: Path, name: str = "n1", founding: bool = True) -> Path:
    directory.mkdir()
    NodeRecord("new", name, "127.0.0.1:7450", founding).save(directory)
    return directory


def installed(data_dir: Path, home: str) -> tuple[raft_pb2.SnapshotHeader, BoardState]:
    (path,) = (data_dir / home / "snapshots").iterdir()
    with path.open("rb") as stream:
        reader = SnapshotReader(stream, path)
        header = reader.header()
        assert path.name == f"{header.last_index:016x}-{header.last_term:016x}.snapshot"
        return header, state_from_rows(reader.rows())


def test_both_boards_are_put_where_the_node_looks_for_them(shelf: Shelf, tmp_path: Path) -> None:
    states = {"mesh": board_of(1), "node:n1": board_of(2)}
    data_dir = found_node(tmp_path / "data")
    with open_backup(shelf.put(parts_of(states)), shelf.identity, scratch=data_dir) as backup:
        restore_backup(chosen_places(backup, data_dir), check_fresh(data_dir))

    for home, directory in {"mesh": "mesh", "node:n1": "local"}.items():
        header, state = installed(data_dir, directory)
        assert state == states[home]
        assert header.cluster == "new"
        assert [(voter.name, voter.address) for voter in header.membership.voters] == [("n1", "127.0.0.1:7450")]
        assert header.last_term == 0
    assert {path.name for path in data_dir.iterdir()} == {"node.json", "mesh", "local"}


def test_another_nodes_own_projects_are_left_out_only_when_asked_to(shelf: Shelf, tmp_path: Path) -> None:
    data_dir = found_node(tmp_path / "data", name="n2")
    path = shelf.put(parts_of({"mesh": board_of(1), "node:n1": board_of(2)}))
    with open_backup(path, shelf.identity) as backup:
        with pytest.raises(PreconditionError, match="--without-local"):
            chosen_places(backup, data_dir)
        (place,) = chosen_places(backup, data_dir, with_local=False)
    assert place.board.home == "mesh"


@pytest.mark.parametrize("kind", ["mesh/wal/0000.wal", "mesh/snapshots/1.snapshot", "local/wal/0000.wal"])
def test_a_node_that_ran_is_not_restored_over(tmp_path: Path, kind: str) -> None:
    data_dir = found_node(tmp_path / "data")
    (data_dir / kind).parent.mkdir(parents=True)
    (data_dir / kind).touch()
    with pytest.raises(PreconditionError, match="weftmesh init"):
        check_fresh(data_dir)


def test_a_node_that_joined_is_not_restored_onto(tmp_path: Path) -> None:
    with pytest.raises(PreconditionError, match="founds a mesh"):
        check_fresh(found_node(tmp_path / "data", founding=False))
    with pytest.raises(PreconditionError, match="weftmesh init"):
        check_fresh(tmp_path)


def later(parts: Parts) -> Parts:
    parts[0].opening.format = FORMAT + 1
    return parts


def other_hash(parts: Parts) -> Parts:
    parts[0].opening.boards[0].state_hash = "00" * 16
    return parts


def changed_data(parts: Parts) -> Parts:
    data = parts[3].data.data
    parts[3].data.data = data[:-1] + bytes([data[-1] ^ 1])
    return parts


def shown_closed(parts: Parts) -> Parts:
    """Data that is not what the node sent, with a digest that says it is: the snapshot's own still tells."""
    changed = changed_data(parts)[:-1]
    digest = hashlib.sha256(b"".join(part.data.data for part in changed))
    return [*changed, closing_of(digest, sum(len(part.data.data) for part in changed))]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda parts: parts[:-1], "ends too early"),
        (lambda parts: parts[:1], "ends too early"),
        (lambda parts: [], "ends too early"),
        (lambda parts: parts[1:], "out of order"),
        (lambda parts: [parts[0], *parts], "out of order"),
        (lambda parts: [*parts, parts[1]], "out of order"),
        (lambda parts: [*parts[:3], *parts[4:]], "sha256"),
        (changed_data, "sha256"),
        (shown_closed, "does not verify"),
        (other_hash, "state hash"),
        (later, "later one"),
    ],
)
def test_what_is_not_what_the_node_sent_is_refused(shelf: Shelf, damage: Callable[[Parts], Parts], said: str) -> None:
    path = shelf.put(damage(parts_of({"mesh": board_of(1)})))
    with pytest.raises(WeftmeshError, match=said), open_backup(path, shelf.identity):
        pass


def test_rows_that_were_exchanged_for_other_whole_ones_are_found_by_the_state_hash(shelf: Shelf) -> None:
    state = board_of(1)
    task = replace(state.tasks[0], title="Forged")
    path = shelf.put(parts_of({"mesh": replace(state, tasks=(task, *state.tasks[1:]))}))
    with pytest.raises(DataCorruptionError, match=r"board\.age cannot be restored: .*state hash"):
        open_backup(path, shelf.identity).__enter__()


@pytest.mark.parametrize(("magic", "tail"), [(b"OTHERTHG", b""), (MAGIC, b"\1"), (MAGIC, b"\xff\xff\xff\xff")])
def test_what_is_encrypted_but_no_backup_is_refused(shelf: Shelf, magic: bytes, tail: bytes) -> None:
    path = shelf.put(parts_of({"mesh": board_of(1)}), magic, tail)
    with pytest.raises(DataCorruptionError, match=r"board\.age"), open_backup(path, shelf.identity):
        pass
