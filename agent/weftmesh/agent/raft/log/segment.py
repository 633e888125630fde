"""Segment files: made ahead of time, full of real zeroes, and appended to record by record."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import randbits

from weftmesh.agent.raft.log.disk import Disk
from weftmesh.agent.raft.log.format import (
    RECORD_HEADER_BYTES,
    SEGMENT_HEADER_BYTES,
    Key,
    key_of,
    pack_record,
    pack_segment_header,
)

SUFFIX = ".wal"
PREPARED_SUFFIX = ".wal.new"
CHUNK_BYTES = 1 << 20
"""Zeroes are written and synced in pieces, so that a sync of the log waits for one piece at most."""
TAIL_BYTES = 2 * RECORD_HEADER_BYTES
"""Kept free at the end of each segment, for a SYNCED and a SEAL."""

Row = tuple[int, int, int, bytes]
"""Kind, index, term, payload: a record before it has a place in the chain."""


def segment_path(directory: Path, sequence: int, suffix: str = SUFFIX) -> Path:
    """Where segment `sequence` is; names sort as the numbers do."""
    return directory / f"{sequence:016x}{suffix}"


@dataclass(slots=True)
class Segment:
    """An open segment and the place of its next record."""

    path: Path
    sequence: int
    fd: int
    size_bytes: int
    key: Key
    offset: int = SEGMENT_HEADER_BYTES
    """Where the next record goes."""
    synced: int = 0
    """Everything before this offset is known to be durable; what the next record claims."""
    claimed: int = 0
    """The highest claim written so far."""

    @property
    def free_bytes(self) -> int:
        """What is left for records, without TAIL_BYTES."""
        return self.size_bytes - self.offset - TAIL_BYTES

    def write(self, rows: Iterable[Row], previous: int, disk: Disk) -> int:
        """Write records, which must fit, with one call; returns the last one's CRC."""
        parts = []
        for kind, index, term, payload in rows:
            data, previous = pack_record(self.key, previous, self.synced, kind, index, term, payload)
            parts.append(data)
        data = b"".join(parts)
        disk.write(self.fd, data, self.offset)
        self.offset += len(data)
        self.claimed = self.synced
        return previous

    def close(self) -> None:
        """Close the file."""
        os.close(self.fd)


class SegmentPreparer:
    """Makes one segment, piece by piece in the writer thread; whoever needs it earlier makes the rest himself."""

    def __init__(self, directory: Path, sequence: int, size_bytes: int, disk: Disk) -> None:
        self._directory = directory
        self._disk = disk
        self._lock = threading.Lock()
        self._sequence = sequence
        self._size_bytes = size_bytes
        self._salt = randbits(64)
        self._segment: Segment | None = None
        self._filled_bytes = 0
        self._closed = False

    def step(self) -> bool:
        """Fill one piece; returns whether another one is missing. A failure is found again by `take`."""
        with self._lock:
            if self._closed:
                return False
            try:
                return self._fill()
            except OSError:
                self._discard()
                return False

    def take(self) -> Segment:
        """The segment under its final name, durable there and empty.

        Raises:
            OSError: it could not be made.
        """
        with self._lock:
            while self._fill():
                pass
            assert self._segment is not None  # noqa: S101 - made by _fill
            segment, self._segment = self._segment, None
            self._closed = True
        path = segment_path(self._directory, self._sequence)
        self._disk.rename(segment.path, path)
        self._disk.sync_directory(self._directory)
        segment.path = path
        return segment

    def discard(self) -> None:
        """Remove what was made; nothing is made any more."""
        with self._lock:
            self._closed = True
            self._discard()

    def _fill(self) -> bool:
        segment = self._segment = self._segment or self._create()
        missing_bytes = self._size_bytes - self._filled_bytes
        if missing_bytes:
            piece = bytes(min(missing_bytes, CHUNK_BYTES))
            if self._filled_bytes == 0:
                piece = pack_segment_header(self._sequence, self._salt) + piece[SEGMENT_HEADER_BYTES:]
            self._disk.write(segment.fd, piece, self._filled_bytes)
            self._disk.sync_data(segment.fd)
            self._filled_bytes += len(piece)
        return self._filled_bytes < self._size_bytes

    def _create(self) -> Segment:
        path = segment_path(self._directory, self._sequence, PREPARED_SUFFIX)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        return Segment(path, self._sequence, fd, self._size_bytes, key_of(self._salt))

    def _discard(self) -> None:
        if self._segment is not None:
            self._segment.close()
            with suppress(OSError):  # a leftover is removed at the next start
                self._disk.unlink(self._segment.path)
        self._segment = None
        self._filled_bytes = 0
