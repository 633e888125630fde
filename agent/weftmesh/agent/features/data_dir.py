"""Refuses a data directory of a later feature level before anything in it is opened for writing: no way back."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Final

from weftmesh.agent.raft.core.codec import ProtocolError, parse_payload
from weftmesh.agent.raft.core.fencing import MARK, check_level
from weftmesh.agent.raft.log.recovery import recover
from weftmesh.agent.raft.log.segment import SUFFIX as WAL_SUFFIX
from weftmesh.agent.raft.snapshots.store import SUFFIX
from weftmesh.core.errors import DataCorruptionError
from weftmesh.core.features.levels import UnsupportedLevelError, check_supported
from weftmesh.runtime.data_formats import check_formats
from weftmesh.runtime.wire.features import level_of_rows
from weftmesh.runtime.wire.snapshot_file import SnapshotReader

LOGS: Final = ("mesh", "local")
PIECE_BYTES: Final = 1 << 20


def check_data_dir(data_dir: Path) -> None:
    """Read only. What does not verify is left to those who open it, and who say what to do then.

    Raises:
        UnsupportedLevelError: a log or a snapshot holds what only a later build can take in; names the file.
        UnsupportedFormatError: a file is of a later format.
        DataCorruptionError: what says so is damaged.
    """
    check_formats(data_dir)
    for log in LOGS:
        snapshots = sorted((data_dir / log / "snapshots").glob(f"*{SUFFIX}"))
        with suppress(DataCorruptionError):
            if snapshots:
                _check_snapshot(snapshots[-1])
        with suppress(DataCorruptionError, ProtocolError):
            if any(_holds(path, MARK) for path in (data_dir / log / "wal").glob(f"*{WAL_SUFFIX}")):
                _check_log(data_dir / log / "wal")


def _check_snapshot(path: Path) -> None:
    with path.open("rb") as stream:
        reader = SnapshotReader(stream, path)
        reader.header()
        check_supported(level_of_rows(reader.rows()), str(path))


def _holds(path: Path, mark: bytes) -> bool:
    """Whether these bytes are anywhere in a file: to read a log takes far longer than to search it."""
    behind = b""
    with path.open("rb") as stream:
        while piece := stream.read(PIECE_BYTES):
            if mark in behind + piece:
                return True
            behind = piece[1 - len(mark) :]
    return False


def _check_log(directory: Path) -> None:
    entries = recover(directory).replay
    for index in range(entries.base_index + 1, entries.last_index + 1):
        try:
            check_level(parse_payload(entries.entry(index).payload), index)
        except UnsupportedLevelError as error:
            raise UnsupportedLevelError(f"{directory}: {error}") from error
