"""The chain of segment files: the current one, the next one in the making, and the full ones until they retire."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from weftmesh.agent.raft.log.disk import Disk, SyncGate
from weftmesh.agent.raft.log.format import Kind, key_of
from weftmesh.agent.raft.log.recovery import Recovered
from weftmesh.agent.raft.log.segment import CHUNK_BYTES, PREPARED_SUFFIX, Row, Segment, SegmentPreparer
from weftmesh.runtime.worker_threads import started_threads

PREPARED_FROM: Final = 1 / 8
"""How full a segment is when the next one is begun: early enough to be there in time, and not at each start, where it
would write and sync a whole segment for each log that most often is not needed before the next start."""


@dataclass(frozen=True, slots=True)
class _Sealed:
    """A full segment; no longer needed once entry `last_index` is compacted."""

    path: Path
    sequence: int
    last_index: int
    """Of the log when the segment was sealed."""


class SegmentChain:
    """Appends records across segments. Called on the event loop, but for what it puts into `writer`.

    Every method raises OSError; after one, only `close` may be called.
    """

    def __init__(self, directory: Path, disk: Disk, recovered: Recovered, *, segment_bytes: int, claims: bool) -> None:
        self.writer = started_threads(1, "wal")
        """The only thread; its queue holds at most one sync, one claim, one piece of a segment and the removals."""
        self.gate = SyncGate(disk)
        self.segment_bytes = segment_bytes
        self._directory = directory
        self._disk = disk
        self._claims = claims
        self._sealed: deque[_Sealed] = deque()
        self._crc = recovered.replay.crc
        self._tidy(recovered)
        self.current = self._reopen(recovered) if recovered.files else self._preparer_of(1).take()
        self._preparer = self._preparer_of(self.current.sequence + 1)
        self._prepares = False

    def write(self, rows: Iterable[Row]) -> None:
        """Append records, which must fit, to the current segment."""
        self._crc = self.current.write(rows, self._crc, self._disk)
        if not self._prepares and self.current.offset >= self.current.size_bytes * PREPARED_FROM:
            self._prepares = True
            self.writer.submit(self._prepare, self._preparer)

    def rotate(self, last_index: int) -> None:
        """Seal the current segment, make it durable, and go on with the next one, which needs a HEAD first.

        The next one has its name before the seal says that it exists, and the seal is durable before anything is
        written behind it: only the last segment, or the last before a blank one, can have a torn tail.
        """
        full, following = self.current, self._preparer.take()
        self.write([(Kind.SEAL, 0, 0, b"")])
        self.gate.sync(full.fd)
        self._sealed.append(_Sealed(full.path, full.sequence, last_index))
        self.current = following
        self.writer.submit(full.close)  # behind a sync of it that may be under way
        self._preparer = self._preparer_of(self.current.sequence + 1)
        self._prepares = False

    def sync(self) -> None:
        """Make everything written durable."""
        segment, offset = self.current, self.current.offset
        self.gate.sync(segment.fd)
        self.synced(segment, offset)

    def synced(self, segment: Segment, offset: int) -> None:
        """Take note that `segment` is durable up to `offset`: later records will claim it."""
        if self._claims:
            segment.synced = max(segment.synced, offset)

    @property
    def unclaimed(self) -> bool:
        """Whether something is synced and no record says so yet."""
        return self.current.claimed < self.current.synced

    def claim(self) -> None:
        """Write a record that says what is synced, if there is room."""
        if self.unclaimed and self.current.free_bytes >= 0:
            self.write([(Kind.SYNCED, 0, 0, b"")])

    def retire(self, base_index: int, synced: Segment, on_failure: Callable[[OSError], None]) -> None:
        """Remove the segments that a durable base makes superfluous, oldest first, in the writer thread.

        Only those before `synced`, which was just synced: the HEAD that takes their place has to be durable.
        """
        sealed = self._sealed
        while sealed and sealed[0].last_index <= base_index and sealed[0].sequence < synced.sequence:
            self.writer.submit(self._remove, sealed.popleft().path, on_failure)

    def close(self) -> None:
        """Wait for the writer thread and close; syncs nothing."""
        self._preparer.discard()
        self.writer.shutdown(wait=True)
        self.current.close()

    def _tidy(self, recovered: Recovered) -> None:
        for leftover in self._directory.glob(f"*{PREPARED_SUFFIX}"):
            self._disk.unlink(leftover)
        if recovered.superfluous is not None:
            self._disk.unlink(recovered.superfluous)
            self._disk.sync_directory(self._directory)

    def _reopen(self, recovered: Recovered) -> Segment:
        files, heads = recovered.files, [*recovered.replay.head_indexes[1:], recovered.replay.last_index]
        for file, last_index in zip(files[:-1], heads, strict=False):
            self._sealed.append(_Sealed(file.path, file.header.sequence, last_index))
        tail = files[-1]
        fd = os.open(tail.path, os.O_RDWR | os.O_CLOEXEC)
        size_bytes = os.fstat(fd).st_size
        if not recovered.clean:
            for offset in range(recovered.end, size_bytes, CHUNK_BYTES):
                self._disk.write(fd, bytes(min(CHUNK_BYTES, size_bytes - offset)), offset)
        key = key_of(tail.header.salt)
        return Segment(tail.path, tail.header.sequence, fd, size_bytes, key, offset=recovered.end)

    def _preparer_of(self, sequence: int) -> SegmentPreparer:
        return SegmentPreparer(self._directory, sequence, self.segment_bytes, self._disk)

    def _prepare(self, preparer: SegmentPreparer) -> None:
        if preparer.step():
            with suppress(RuntimeError):  # the log is being closed
                self.writer.submit(self._prepare, preparer)

    def _remove(self, path: Path, on_failure: Callable[[OSError], None]) -> None:
        try:
            self._disk.unlink(path)
            self._disk.sync_directory(self._directory)  # each by itself: a gap would look like a lost segment
        except OSError as error:
            on_failure(error)
