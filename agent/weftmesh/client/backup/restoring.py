"""Restoring a backup onto the node that founded a new mesh and has not run yet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Final

from weftmesh.client.backup.opening import OpenBackup
from weftmesh.core.errors import DataCorruptionError, PreconditionError
from weftmesh.core.learning.restoring import in_new_mesh
from weftmesh.mesh.v1 import backup_pb2, raft_pb2
from weftmesh.runtime.files import make_private_directory, replacing
from weftmesh.runtime.identity.founding import NodeRecord
from weftmesh.runtime.wire.learning_rows import learning_from_rows, learning_rows
from weftmesh.runtime.wire.machine_rows import ACCESS, BOARD, FEATURES, LEARNING, OLA, RowSorter, wrapped
from weftmesh.runtime.wire.snapshot_file import FORMAT, SnapshotReader, digest_of, encode

MESH_HOME: Final = "mesh"
NODE_PREFIX: Final = "node:"
RESTORED_TERM: Final = 0
"""Before any that a leader of the new mesh will have."""
INDEX_MIN: Final = 2
"""Entry 1 is on every node by convention: what joins has to be behind the restored state."""
_DIRECTORIES: Final = ("mesh", "local")


@dataclass(frozen=True, slots=True)
class Place:
    """Where one board of a backup goes."""

    board: backup_pb2.BackupBoard
    source: Path
    directory: Path
    """Of the snapshots of its log."""

    @property
    def index(self) -> int:
        """The entry after which the new log begins."""
        return max(self.board.applied_index, INDEX_MIN)

    @property
    def target(self) -> Path:
        """The snapshot file."""
        return self.directory / f"{self.index:016x}-{RESTORED_TERM:016x}.snapshot"


def check_fresh(data_dir: Path) -> NodeRecord:
    """The record of the node in `data_dir`, onto which a backup may be restored.

    Raises:
        PreconditionError: it belongs to no mesh, did not found it, or holds entries already.
    """
    record = NodeRecord.load(data_dir)
    if not record.founding:
        raise PreconditionError(
            f"{record.node} joined {record.cluster}: restore on the node that founds a mesh, and let the others join"
        )
    for name in _DIRECTORIES:
        if any(path.is_file() for kind in ("wal", "snapshots") for path in (data_dir / name / kind).glob("*")):
            raise PreconditionError(
                f"{data_dir / name} holds entries: {record.node} has run, and a backup is only restored onto a node "
                f"that never ran. Make a fresh one: stop weftmesh-agent, move {data_dir} away, run `weftmesh init "
                "--cluster NAME`, and restore before the first start",
                reason="NODE_NOT_FRESH",
            )
    return record


def chosen_places(backup: OpenBackup, data_dir: Path, *, with_local: bool = True) -> tuple[Place, ...]:
    """Where the boards of a verified backup go, the replicated one first.

    Args:
        backup: of `open_backup`.
        data_dir: of the node to restore onto.
        with_local: the node's own projects too, if the backup has them.

    Raises:
        PreconditionError: the backup has another node's own projects.
        DataCorruptionError: it has no replicated board.
    """
    node = NodeRecord.load(data_dir).node
    places = []
    for board, source in zip(backup.opening.boards, backup.snapshots, strict=True):
        if board.home == MESH_HOME:
            places.append(Place(board, source, data_dir / "mesh" / "snapshots"))
        elif board.home == NODE_PREFIX + node and with_local:
            places.append(Place(board, source, data_dir / "local" / "snapshots"))
        elif with_local:
            other = board.home.removeprefix(NODE_PREFIX)
            raise PreconditionError(
                f"the backup holds projects that live on node {other}, and this is {node}: found the new mesh with "
                f"`weftmesh init --name {other}`, or leave them out with --without-local",
                reason="OTHER_NODES_PROJECTS",
            )
    if not places or places[0].board.home != MESH_HOME:
        raise DataCorruptionError("the backup does not begin with the replicated board; use another one")
    return tuple(places)


def restore_backup(places: Sequence[Place], record: NodeRecord) -> None:
    """Put boards where the node finds them when it starts.

    Its log begins behind them, with this node as its only voter; whoever joins gets them as a snapshot.

    Args:
        places: of `chosen_places`; what they name is a verified backup, still open.
        record: of `check_fresh`.

    Raises:
        OSError: the disk does not take it.
        DataCorruptionError: the disk does not give back what was written.
    """
    # The replicated board last: with it the node counts as restored.
    for place in reversed(places):
        _install(place, record)


def _install(place: Place, record: NodeRecord) -> None:
    header = raft_pb2.SnapshotHeader(
        format=FORMAT,
        last_index=place.index,
        last_term=RESTORED_TERM,
        membership=raft_pb2.Membership(voters=[raft_pb2.Voter(name=record.node, address=record.address)]),
        cluster=record.cluster,
    )
    make_private_directory(place.directory)
    # The suffix of what a node removes when it starts, should this end half-way.
    with replacing(place.target, suffix=".partial") as out:
        for piece in encode(header, _rows(place.source)):
            out.write(piece)
        size_bytes = out.tell()
        out.flush()
        with Path(out.name).open("rb") as written:
            if digest_of(written, size_bytes) is None:
                raise DataCorruptionError(f"{out.name} is not what was written to it; check the disk and try again")


def _rows(source: Path) -> Iterator[bytes]:
    with source.open("rb") as stream:
        reader = SnapshotReader(stream, source)
        reader.header()
        sorter = RowSorter(reader.rows())
        board = iter(sorter.rows_of(BOARD))
        # Those of the feature level stand before the board's, and have been met when the first of these comes.
        first = list(islice(board, 1))
        yield from wrapped(FEATURES, sorter.rows_of(FEATURES))
        yield from chain(first, board)
        learning = learning_from_rows(sorter.rows_of(LEARNING))
        yield from wrapped(LEARNING, learning_rows(in_new_mesh(learning.freeze())))
        yield from wrapped(OLA, sorter.rows_of(OLA))
        # Without its roles a restored project would be open to everybody. Trust is left out: the new mesh has an
        # authority of its own, and no certificate of the former one is worth anything to it.
        yield from wrapped(ACCESS, sorter.rows_of(ACCESS))
