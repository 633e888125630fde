"""The write-ahead log: entries and hard state in segment files, made durable by one writer thread.

What is written goes to the page cache at once, so a killed process loses nothing; a sync, which covers everything
written before it began, makes it survive a power cut. What recovery promises:

- Everything covered by a completed sync is there again, or the log is refused with DataCorruptionError.
- What was not yet synced comes back up to some record and is cut there: a torn tail.
- A damaged tail is told from a torn one by claims: each record says up to where the segment was known to be synced when
  it was written. The claim for the last synced record is therefore written later: with the next record, after
  IDLE_CLAIM_S without one, or on `close`. Damage to it before that is cut as a torn tail; `close` leaves no such gap.
- Without `fsync` nothing is claimed: any damage at the end of the last segment is cut.

Payloads of only the newest entries stay in memory; older ones are read back, and verified again, when asked for.

An I/O error stops the log for good: `on_failure` is called once, the call that met it raises OSError as does every
later write, and nothing becomes durable any more.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from weftmesh.agent.raft.log.chain import SegmentChain
from weftmesh.agent.raft.log.disk import Disk, SystemDisk, make_directory
from weftmesh.agent.raft.log.entries import MEMORY_BYTES, HeldEntries
from weftmesh.agent.raft.log.format import RECORD_HEADER_BYTES, Kind, pack_head
from weftmesh.agent.raft.log.recovery import Replay, recover
from weftmesh.agent.raft.log.segment import Segment
from weftmesh.agent.raft.ports import Entry
from weftmesh.core.errors import InvalidInputError, PreconditionError

SEGMENT_BYTES = 16 << 20
MIN_SEGMENT_BYTES = 4 << 10
RESERVED_BYTES = 1 << 10
"""Of each segment, for its header, HEAD and SEAL; a record must fit into the rest."""
MAX_VOTE_BYTES = 255
IDLE_CLAIM_S = 0.5
LOCK_NAME = "lock"
IN_USE: Final = "DATA_IN_USE"
"""The reason of the error of whoever opens a log that is open."""


@dataclass(slots=True)
class _Covered:
    """What a sync covers, taken when it began."""

    segment: Segment
    offset: int
    mark: int
    last_index: int
    """Lowered when entries are dropped meanwhile: what takes their place is not covered."""
    base_index: int


class WriteAheadLog(HeldEntries):
    """`LogStorage` on disk. Made by `open`; all methods are called on one thread, the event loop's."""

    def __init__(
        self,
        directory: Path,
        memory_bytes: int,
        chain: SegmentChain,
        replay: Replay,
        on_failure: Callable[[OSError], None],
        lock_fd: int,
    ) -> None:
        super().__init__(directory, memory_bytes)
        self._take_over(replay)
        self.term = replay.term
        self.vote = replay.vote
        self.durable_index = self.base_index
        self.written_mark = 0
        self.durable_mark = 0
        self._chain = chain
        self._on_failure = on_failure
        self._lock_fd = lock_fd
        self._loop = _running_loop()
        self._under_way: _Covered | None = None
        self._claim_timer: asyncio.TimerHandle | None = None
        self._failed = False
        self._closed = False

    @classmethod
    def open(
        cls,
        directory: Path,
        *,
        fsync: bool = True,
        on_failure: Callable[[OSError], None],
        segment_bytes: int = SEGMENT_BYTES,
        memory_bytes: int = MEMORY_BYTES,
        disk: Disk | None = None,
    ) -> Self:
        """Recover the log in `directory`, or begin one there whose base is (1, 0).

        Without a running event loop everything but `start_sync` works, for tools.

        Args:
            directory: made if missing; locked until `close`.
            fsync: False for tests and benchmarks only.
            on_failure: called on the loop, once, after an I/O error; the node has to stop.
            segment_bytes: size of new segments.
            memory_bytes: payloads of the newest entries that are held in memory.
            disk: the file system; tests have others.

        Raises:
            DataCorruptionError: damage that is not an unsynced torn tail.
            PreconditionError: another process has the log open, or it is of a later format.
            OSError: the directory cannot be read or written.
        """
        if segment_bytes < MIN_SEGMENT_BYTES:
            raise InvalidInputError(f"segments of {segment_bytes} bytes are too small, at least {MIN_SEGMENT_BYTES}")
        disk = disk or SystemDisk(fsync=fsync)
        make_directory(directory, disk)
        with ExitStack() as undo:
            lock_fd = _lock(directory)
            undo.callback(os.close, lock_fd)
            recovered = recover(directory, memory_bytes)
            chain = SegmentChain(directory, disk, recovered, segment_bytes=segment_bytes, claims=fsync)
            undo.callback(chain.close)
            log = cls(directory, memory_bytes, chain, recovered.replay, on_failure, lock_fd)
            log._begin(headless=recovered.headless)
            undo.pop_all()
        return log

    def append(self, entries: Sequence[Entry]) -> None:
        """Add entries that follow last_index without a gap.

        Raises:
            InvalidInputError: an entry is larger than a segment takes; nothing was written.
            OSError: some of them may be written; the log has stopped.
        """
        self._check_follows(entries)
        limit_bytes = self._chain.segment_bytes - RESERVED_BYTES
        largest_bytes = max((len(entry.payload) for entry in entries), default=0)
        if largest_bytes > limit_bytes:
            raise InvalidInputError(f"an entry of {largest_bytes} bytes is too large, the log takes {limit_bytes}")
        position = 0
        while position < len(entries):
            with self._stopping_on_error():
                self._make_room(len(entries[position].payload))
                run = self._fitting(entries, position)
                segment, offset = self._chain.current, self._chain.current.offset
                self._chain.write([(Kind.ENTRY, entry.index, entry.term, entry.payload) for entry in run])
            self._hold(run, segment.sequence, offset)
            self.written_mark += 1
            position += len(run)

    def truncate_from(self, index: int) -> None:
        """Drop the entry at `index` and all after it."""
        self._check_held(index)
        self._write(Kind.TRUNCATE, index, 0)
        self._drop_from(index)
        self._lower_durable(index - 1)

    def compact_to(self, index: int) -> None:
        """Forget entries up to and including `index`, which is held and covered by a durable snapshot."""
        self._check_held(index)
        term = self._places.terms[index - self.base_index - 1]
        self._write(Kind.COMPACT, index, term)
        self._drop_to(index, term)
        self.durable_index = max(self.durable_index, index)

    def reset(self, index: int, term: int) -> None:
        """Drop every entry; the base is (index, term), which a durable snapshot covers. Durable when this returns."""
        self._write(Kind.RESET, index, term)
        self._drop_all(index, term)
        self._lower_durable(index)
        self.sync()

    def set_hard_state(self, term: int, vote: str) -> None:
        """Remember term and vote; durable when this returns.

        Raises:
            OSError: it is not.
        """
        payload = vote.encode()
        if len(payload) > MAX_VOTE_BYTES:
            raise InvalidInputError(f"a node name of {len(payload)} bytes is too long, at most {MAX_VOTE_BYTES}")
        self._write(Kind.HARD_STATE, 0, term, payload)
        self.term, self.vote = term, vote
        self.sync()

    def sync(self) -> None:
        """Make everything written durable before returning.

        Raises:
            OSError: it is not.
        """
        covered = self._cover()
        with self._stopping_on_error():
            self._chain.sync()
        self._advance(covered)

    def start_sync(self, done: Callable[[], None]) -> bool:
        """Begin a sync in the writer thread unless one is running (returns False) or nothing is unwritten (False).

        `done` is called on the event loop after durable_index and durable_mark have moved; after an I/O error
        `on_failure` is called instead.
        """
        if self._under_way is not None or self._failed or self.durable_mark == self.written_mark:
            return False
        if self._loop is None:
            raise RuntimeError("this log was opened without an event loop; use sync()")
        self._under_way = covered = self._cover()
        self._chain.writer.submit(self._sync_in_writer, covered.segment, lambda: self._synced(covered, done))
        return True

    def close(self) -> None:
        """Sync, claim what is synced, and close; after a failure only close."""
        if self._closed:
            return
        try:
            if not self._failed:
                self.sync()
                with self._stopping_on_error():
                    self._chain.claim()
                    self._chain.sync()
        finally:
            self._release()

    def _begin(self, *, headless: bool) -> None:
        if headless:
            self._write_head()
        self._chain.sync()  # what was read may have been in the page cache only
        self.durable_index = self.last_index

    def _write(self, kind: Kind, index: int, term: int, payload: bytes = b"") -> None:
        with self._stopping_on_error():
            self._make_room(len(payload))
            self._chain.write([(kind, index, term, payload)])
        self.written_mark += 1

    def _make_room(self, payload_bytes: int) -> None:
        if self._chain.current.free_bytes >= RECORD_HEADER_BYTES + payload_bytes:
            return
        covered = self._cover()
        self._chain.rotate(self.last_index)
        self._advance(covered)
        self._write_head()

    def _write_head(self) -> None:
        head = pack_head(self.last_index, self.term, self.vote)
        self._chain.write([(Kind.HEAD, self.base_index, self.base_term, head)])

    def _fitting(self, entries: Sequence[Entry], position: int) -> Sequence[Entry]:
        free_bytes = self._chain.current.free_bytes
        end = position
        while end < len(entries):
            free_bytes -= RECORD_HEADER_BYTES + len(entries[end].payload)
            if free_bytes < 0:
                break
            end += 1
        return entries[position:end]

    def _cover(self) -> _Covered:
        current = self._chain.current
        return _Covered(current, current.offset, self.written_mark, self.last_index, self.base_index)

    def _lower_durable(self, index: int) -> None:
        self.durable_index = min(self.durable_index, index)
        if self._under_way is not None:
            self._under_way.last_index = min(self._under_way.last_index, index)

    def _advance(self, covered: _Covered) -> None:
        self._chain.synced(covered.segment, covered.offset)
        self.durable_mark = max(self.durable_mark, covered.mark)
        self.durable_index = max(self.durable_index, covered.last_index)
        self._chain.retire(covered.base_index, covered.segment, self._post_failure)
        self._claim_when_idle()

    def _sync_in_writer(self, segment: Segment, done: Callable[[], None]) -> None:
        try:
            self._chain.gate.sync(segment.fd)
        except OSError as error:
            self._post_failure(error)
        else:
            self._post(done)

    def _synced(self, covered: _Covered, done: Callable[[], None]) -> None:
        self._under_way = None
        if self._failed or self._closed:
            return
        self._advance(covered)
        done()

    def _claim_when_idle(self) -> None:
        if self._loop is not None and self._claim_timer is None and self._chain.unclaimed and not self._closed:
            offset = self._chain.current.offset
            self._claim_timer = self._loop.call_later(IDLE_CLAIM_S, self._claim_if_idle, offset)

    def _claim_if_idle(self, offset: int) -> None:
        self._claim_timer = None
        if self._failed or self._closed:
            return
        if self._chain.current.offset != offset:
            self._claim_when_idle()
            return
        with suppress(OSError), self._stopping_on_error():
            self._chain.claim()
            self._chain.writer.submit(self._sync_in_writer, self._chain.current, _nothing)

    def _post(self, callback: Callable[[], None]) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(callback)

    def _post_failure(self, error: OSError) -> None:
        self._post(lambda: self._fail(error))

    @contextmanager
    def _stopping_on_error(self) -> Iterator[None]:
        try:
            self._chain.gate.check()
            yield
        except OSError as error:
            self._fail(error)
            raise

    def _fail(self, error: OSError) -> None:
        self._chain.gate.failure = self._chain.gate.failure or error
        if not self._failed:
            self._failed = True
            self._on_failure(error)

    def _release(self) -> None:
        self._closed = True
        if self._claim_timer is not None:
            self._claim_timer.cancel()
        self._chain.close()
        os.close(self._lock_fd)


def _nothing() -> None:
    pass


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _lock(directory: Path) -> int:
    fd = os.open(directory / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise PreconditionError(
            f"{directory} is in use by another process, as this node runs already; stop that one first",
            reason=IN_USE,
        ) from None
    return fd
