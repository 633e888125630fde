"""A backup brings its mesh's feature level along, and one of a later level is refused."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from tests.fakes.feature_levels import machines_at
from tests.unit.client.test_backup_files import Parts, Shelf, board_of, found_node
from tests.unit.client.test_backup_learning import restored

from weftmesh.agent.features.data_dir import check_data_dir
from weftmesh.client.backup.opening import open_backup
from weftmesh.core.features.levels import SUPPORTED_LEVEL, UnsupportedLevelError
from weftmesh.mesh.v1 import backup_pb2, features_pb2, raft_pb2
from weftmesh.runtime.wire.backup_parts import FORMAT, closing_of
from weftmesh.runtime.wire.features import level_of_rows
from weftmesh.runtime.wire.machine_rows import FEATURES, wrapped
from weftmesh.runtime.wire.snapshot_file import SnapshotReader, encode
from weftmesh.runtime.wire.snapshot_rows import rows_of


def parts_at(level: int) -> Parts:
    """What a node of a mesh of this level would stream."""
    state = board_of(1)
    levels = [features_pb2.FeaturesRow(level=one, actor="n1").SerializeToString() for one in range(2, level + 1)]
    opening = backup_pb2.BackupOpening(format=FORMAT, cluster="old", node="n1", version="1")
    opening.boards.add(home="mesh", revision=state.revision, state_hash=state.state_hash.hex(), applied_index=40)
    header = raft_pb2.SnapshotHeader(format=1, last_index=40, last_term=7, cluster="old")
    pieces = list(encode(header, [*wrapped(FEATURES, levels), *rows_of(state)]))
    data = [backup_pb2.BackupPart(data=backup_pb2.BackupData(board=0, data=piece)) for piece in pieces]
    closing = closing_of(hashlib.sha256(b"".join(pieces)), sum(map(len, pieces)))
    return [backup_pb2.BackupPart(opening=opening), *data, closing]


@pytest.mark.parametrize("level", [1, SUPPORTED_LEVEL])
def test_a_restored_mesh_has_the_level_of_its_backup(tmp_path: Path, level: int) -> None:
    shelf = Shelf(tmp_path)
    data_dir = found_node(tmp_path / "data")

    machines = restored(shelf.put(parts_at(level)), shelf, data_dir)

    assert machines.feature_level == level
    assert machines.board.freeze() == board_of(1)
    check_data_dir(data_dir)
    (snapshot,) = (data_dir / "mesh" / "snapshots").iterdir()
    with snapshot.open("rb") as stream:
        reader = SnapshotReader(stream, snapshot)
        reader.header()
        first = next(reader.rows())
    assert level_of_rows([first]) == machines_at(level).feature_level, "the level stands first, for other builds to see"


def test_a_backup_of_a_later_level_is_refused(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    path = shelf.put(parts_at(SUPPORTED_LEVEL + 1))

    with (
        pytest.raises(UnsupportedLevelError, match=f"feature level {SUPPORTED_LEVEL + 1}"),
        open_backup(path, shelf.identity, scratch=tmp_path),
    ):
        pass
