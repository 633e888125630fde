"""Opening a backup file: decrypted, and each board restored for a try, before anything is believed of it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from weftmesh.client.backup.sealing import Identity, unsealed
from weftmesh.core.board.auditing import actual_state_hash
from weftmesh.core.board.machine import Board
from weftmesh.core.errors import DataCorruptionError
from weftmesh.mesh.v1 import backup_pb2
from weftmesh.runtime.wire.access_rows import access_from_rows
from weftmesh.runtime.wire.backup_parts import damaged, read_parts
from weftmesh.runtime.wire.features import features_from_rows
from weftmesh.runtime.wire.learning_rows import learning_from_rows
from weftmesh.runtime.wire.machine_rows import ACCESS, BOARD, FEATURES, LEARNING, OLA, RowSorter
from weftmesh.runtime.wire.ola_rows import ola_from_rows
from weftmesh.runtime.wire.snapshot_file import SnapshotReader
from weftmesh.runtime.wire.snapshot_rows import state_from_rows


@dataclass(frozen=True, slots=True)
class OpenBackup:
    """A backup that was found whole: every board in it was restored for a try and has the hash it had on its node."""

    opening: backup_pb2.BackupOpening
    snapshots: tuple[Path, ...]
    """Of each board of the opening, decrypted."""


@contextmanager
def open_backup(path: Path, identity: Identity, *, scratch: Path | None = None) -> Iterator[OpenBackup]:
    """Decrypt and verify a backup; what was decrypted lies in a private directory until the block ends.

    Args:
        path: the file.
        identity: of `load_identity`.
        scratch: where that directory is made; None for where temporary files go.

    Raises:
        DataCorruptionError: it is not as it was written, or a board does not come back as it was.
        InvalidInputError: it is no backup, or for another identity.
        PreconditionError: it is of a later format.
    """
    with tempfile.TemporaryDirectory(prefix=".weftmesh-backup-", dir=scratch) as directory:
        try:
            backup = _decrypt(path, identity, Path(directory))
            for board, snapshot in zip(backup.opening.boards, backup.snapshots, strict=True):
                _check_board(board, snapshot)
        except DataCorruptionError as error:
            found = error.metadata.get("found", str(error))
            raise DataCorruptionError(
                f"{path} cannot be restored: {found}. Use another copy, or an earlier backup",
                reason="BACKUP_DAMAGED",
                metadata={"file": str(path), "found": found},
            ) from error
        yield backup


def _decrypt(path: Path, identity: Identity, directory: Path) -> OpenBackup:
    opening = backup_pb2.BackupOpening()
    with unsealed(path, identity) as plain, ExitStack() as files:
        outs: list[tuple[Path, BinaryIO]] = []
        for part in read_parts(plain):
            if part.HasField("opening"):
                opening = part.opening
                paths = [directory / f"{number}.snapshot" for number in range(len(opening.boards))]
                outs = [(one, files.enter_context(one.open("xb"))) for one in paths]
            elif part.HasField("data"):
                outs[part.data.board][1].write(part.data.data)
    return OpenBackup(opening, tuple(one for one, _ in outs))


def _check_board(board: backup_pb2.BackupBoard, snapshot: Path) -> None:
    with snapshot.open("rb") as stream:
        reader = SnapshotReader(stream, snapshot)
        reader.header()
        sorter = RowSorter(reader.rows())
        state = Board.thaw(state_from_rows(sorter.rows_of(BOARD))).freeze()
        features_from_rows(sorter.rows_of(FEATURES))
        # They raise when their rows are not what their own hash says.
        learning_from_rows(sorter.rows_of(LEARNING))
        ola_from_rows(sorter.rows_of(OLA))
        access_from_rows(sorter.rows_of(ACCESS))
    if state.revision != board.revision or actual_state_hash(state) != board.state_hash:
        raise damaged(
            f"the board of {board.home} comes back at revision {state.revision} with state hash "
            f"{actual_state_hash(state)}, on its node it was {board.revision} with {board.state_hash}"
        )
