"""What this node acknowledged: a bounded journal of request ids and revisions, for audits to look for.

Writing it is no part of a write: a note is one append in memory, and about once a second notes go to a file, unsynced.
After a power cut the last seconds may be missing, and an audit looks for so much less.

A file is a run of records of 28 bytes: the revision as 8 bytes big-endian, the request id of 16, and the crc32 of both
as 4 little-endian. A file that is full takes the place of the one before it.
"""

from __future__ import annotations

import asyncio
import os
import struct
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, Self
from zlib import crc32

import structlog

from weftmesh.agent.raft.log.disk import SystemDisk
from weftmesh.core.board.auditing import WRITE_BYTES, acknowledged_write
from weftmesh.core.board.hashing import HASH_BYTES
from weftmesh.runtime.files import PRIVATE_FILE_MODE, make_private_directory

FLUSH_INTERVAL_S: Final = 1.0
NOTES_MAX: Final = 65_536
"""That wait to be written; beyond it the oldest are forgotten."""
FILE_RECORDS_MAX: Final = 65_536
"""In each of two files: 1.8 MB."""
_CRC: Final = struct.Struct("<I")
RECORD_BYTES: Final = WRITE_BYTES + _CRC.size
_CURRENT: Final = "newer"
_PREVIOUS: Final = "older"
_FRESH: Final = "fresh"

log = structlog.get_logger("weftmesh.audit")


class AcknowledgedJournal:
    """The newest writes that this node acknowledged; made by `open`.

    Attributes:
        note: call it with (revision, request id) of each write when its caller has the answer.
        fileno: of the file that notes go to.
    """

    def __init__(self, directory: Path, fd: int, records: int, file_records_max: int) -> None:
        self._directory = directory
        self.fileno = fd
        self._records = records
        self._file_records_max = file_records_max
        self._notes: deque[tuple[int, bytes]] = deque(maxlen=NOTES_MAX)
        self.note: Callable[[tuple[int, bytes]], None] = self._notes.append
        self._disk = SystemDisk(fsync=False)
        self._writing = asyncio.Lock()
        self._complained = False

    @classmethod
    def open(cls, directory: Path, file_records_max: int = FILE_RECORDS_MAX) -> Self:
        """Go on with the journal in `directory`, or begin one; what a crash left half-written is cut off.

        Args:
            directory: made if missing.
            file_records_max: in each of two files.

        Raises:
            OSError: the directory cannot be used.
        """
        make_private_directory(directory)
        fd = os.open(directory / _CURRENT, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE_MODE)
        return cls(directory, fd, len(_whole_records((directory / _CURRENT).read_bytes())), file_records_max)

    async def keep(self) -> None:
        """Write notes down for as long as the node runs."""
        while True:
            await asyncio.sleep(FLUSH_INTERVAL_S)
            await self.flush()

    async def close(self) -> None:
        """Write down the last notes."""
        await self.flush()
        os.close(self.fileno)

    async def flush(self) -> None:
        """Write down what was noted; a disk that refuses costs the notes and no more."""
        async with self._writing:
            notes = [note for note in self._notes if len(note[1]) == HASH_BYTES]
            self._notes.clear()
            if not notes:
                return
            try:
                await asyncio.to_thread(self._append, notes)
            except OSError as error:
                if not self._complained:
                    log.warning("acknowledged writes are not journaled", why=str(error), directory=str(self._directory))
                self._complained = True

    async def newest(self, limit: int) -> list[bytes]:
        """Up to `limit` of the newest writes, oldest first, each as `acknowledged_write` makes it.

        Raises:
            OSError: the files cannot be read.
        """
        await self.flush()
        async with self._writing:
            return (await asyncio.to_thread(self._read))[-limit:] if limit > 0 else []

    def _append(self, notes: list[tuple[int, bytes]]) -> None:
        while notes:
            if self._records >= self._file_records_max:
                self._rotate()
            fitting = notes[: self._file_records_max - self._records]
            # At a place of our own counting: what a failed write left is written over.
            self._disk.write(self.fileno, _packed(fitting), self._records * RECORD_BYTES)
            self._records += len(fitting)
            notes = notes[len(fitting) :]

    def _rotate(self) -> None:
        current, fresh = self._directory / _CURRENT, self._directory / _FRESH
        # First what may be refused: until then all stays as it is, and the next notes try again.
        fd = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, PRIVATE_FILE_MODE)
        current.replace(self._directory / _PREVIOUS)
        fresh.replace(current)
        os.close(self.fileno)
        self.fileno, self._records = fd, 0

    def _read(self) -> list[bytes]:
        previous = self._directory / _PREVIOUS
        older = _whole_records(previous.read_bytes()) if previous.exists() else []
        return older + _whole_records(os.pread(self.fileno, self._records * RECORD_BYTES, 0))


def _packed(notes: Iterable[tuple[int, bytes]]) -> bytes:
    records = [acknowledged_write(revision, request_id) for revision, request_id in notes]
    return b"".join([record + _CRC.pack(crc32(record)) for record in records])


def _whole_records(data: bytes) -> list[bytes]:
    """The records of a file, up to the first that does not verify."""
    records = []
    for start in range(0, len(data) - RECORD_BYTES + 1, RECORD_BYTES):
        record = data[start : start + WRITE_BYTES]
        if _CRC.unpack_from(data, start + WRITE_BYTES)[0] != crc32(record):
            break
        records.append(record)
    return records
