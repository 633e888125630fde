"""The queue of one node: what waits, what was refused, and the file that keeps both."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import structlog
from google.protobuf.message import DecodeError

from weftmesh.agent.offline.entry import Entry, left_record, refused_record, retried_record
from weftmesh.agent.offline.queue_file import QueueFile
from weftmesh.agent.raft.log.disk import Disk
from weftmesh.board.v1 import board_pb2, queue_pb2
from weftmesh.core.board.commands import CreateTask
from weftmesh.core.board.pending import touched, written
from weftmesh.core.errors import InvalidInputError, NotFoundError, OverloadedError, UnknownOutcomeError

WRITES_MAX: Final = 4_096
TASK_WRITES_MAX: Final = 256
"""To one task; each write is checked on top of those before it."""
BYTES_MAX: Final = 32 * 1024 * 1024
"""Of the records; all bounds count refused writes too."""
GARBAGE_BYTES_MAX: Final = 1024 * 1024
"""Records that are no longer needed make the file be rewritten beyond it, and beyond those that are needed."""
APPLIED_REMEMBERED: Final = 256

_Records = Sequence[queue_pb2.QueueRecord]


log = structlog.get_logger("weftmesh.offline")


class WriteQueue:
    """Queued writes in order. On the event loop only; each change is on disk before anybody sees it.

    Attributes:
        replaying: ids of the writes that are proposed at this moment.
        applied: the latest writes that were replayed, oldest first.
    """

    def __init__(self, file: QueueFile, payloads: Sequence[bytes] = ()) -> None:
        self._file = file
        self._entries: dict[str, Entry] = {}
        self._by_request: dict[bytes, str] = {}
        self._by_task: Counter[str] = Counter()
        self._bytes = 0
        self._created: dict[str, str] = {}
        self._places = 0
        self._writing = asyncio.Lock()
        self._leaving: set[str] = set()
        self._listeners: list[Callable[[], None]] = []
        self.replaying: frozenset[str] = frozenset()
        self.applied: deque[board_pb2.QueuedWrite] = deque(maxlen=APPLIED_REMEMBERED)
        for payload in payloads:
            self._load(payload)

    @classmethod
    def open(cls, directory: Path, disk: Disk) -> WriteQueue:
        """The queue in `directory`.

        Raises:
            OSError: the disk refused.
        """
        queue = cls(*QueueFile.open(directory, disk))
        if queue:
            log.info("writes are queued", waiting=len(queue) - queue.refused_count, refused=queue.refused_count)
        return queue

    def _load(self, payload: bytes) -> None:
        try:
            self._lay(queue_pb2.QueueRecord.FromString(payload))
        except (DecodeError, InvalidInputError) as error:
            self._file.set_aside(payload, f"a record that this version cannot read: {error}")

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` after every change."""
        self._listeners.append(listener)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def waiting(self) -> Iterator[Entry]:
        """Writes that are to be replayed, in order."""
        return (entry for entry in self if entry.refusal is None and entry.id not in self._leaving)

    def waiting_for(self, ids: Iterable[str]) -> list[Entry]:
        """Waiting writes to tasks and projects of these ids, and those that they build on, in order."""
        wanted = set(ids)
        found = []
        for entry in reversed(self._entries.values()):
            if written(entry.command) in wanted and entry.refusal is None and entry.id not in self._leaving:
                found.append(entry)
                wanted |= touched(entry.command)
                wanted.add(entry.project_id)
        found.reverse()
        return found

    def project_of(self, task_id: str) -> str:
        """The project of a task that is made in the queue; empty for any other."""
        return self._created.get(task_id, "")

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def refused_count(self) -> int:
        """Writes that somebody has to retry or discard."""
        return sum(1 for entry in self if entry.refusal is not None)

    @property
    def damaged_parts(self) -> int:
        """Parts of the file that could not be read and lie set aside."""
        return self._file.damaged_parts

    def count_of(self, task_id: str) -> int:
        """Writes to one task, refused ones too."""
        return self._by_task[task_id]

    def get(self, entry_id: str) -> Entry:
        """One write.

        Raises:
            NotFoundError: it is not in the queue, or no longer.
        """
        if entry_id not in self._entries:
            raise NotFoundError(f"there is no write {entry_id} in this node's queue; see `weftmesh pending ls`")
        return self._entries[entry_id]

    def project_of_write(self, entry_id: str) -> str:
        """The project that a write is for; empty for one that is not in the queue."""
        entry = self._entries.get(entry_id)
        return "" if entry is None else entry.project_id

    def by_request(self, request_id: bytes) -> Entry | None:
        """The write that is queued under this request id."""
        entry_id = self._by_request.get(request_id)
        return None if entry_id is None else self._entries[entry_id]

    async def join(self, entry: Entry) -> None:
        """Put a write at the end, durably.

        Raises:
            OverloadedError: the queue is full.
            UnknownOutcomeError: the disk failed.
        """
        if len(self) >= WRITES_MAX or self._bytes + entry.size_bytes > BYTES_MAX:
            raise OverloadedError(
                f"{len(self)} writes ({self._bytes >> 10} KiB) wait in this node's queue, its limit is {WRITES_MAX} "
                f"({BYTES_MAX >> 10} KiB); wait for the quorum, or discard some: `weftmesh pending ls`"
            )
        if entry.task_id and self.count_of(entry.task_id) >= TASK_WRITES_MAX:
            raise OverloadedError(
                f"{TASK_WRITES_MAX} writes to this task wait in this node's queue, which is its limit"
            )
        await self._record([entry.record()])

    async def settle(
        self, applied: Mapping[str, board_pb2.QueuedWrite], refused: Mapping[str, board_pb2.WriteFailed]
    ) -> None:
        """Write down what became of writes, by id.

        Raises:
            UnknownOutcomeError: the disk failed; nothing has changed here.
        """
        records = [left_record(one) for one in applied]
        records += [refused_record(one, error) for one, error in refused.items()]
        await self._record(records, tuple(applied.values()))

    async def discard(self, entry_id: str) -> None:
        """Take a write out that is not being replayed; it is not replayed from now on. Raises as `settle` does."""
        self._leaving.add(entry_id)
        try:
            await self._record([left_record(entry_id)])
        finally:
            self._leaving.discard(entry_id)

    async def retry(self, entry_id: str, request_id: bytes) -> None:
        """Put a refused write at the end again, as another request; raises as `settle` does."""
        await self._record([retried_record(entry_id, request_id)])

    async def close(self) -> None:
        """Close the file once it is written."""
        async with self._writing:
            self._file.close()

    async def _record(self, records: _Records, applied: Sequence[board_pb2.QueuedWrite] = ()) -> None:
        # To the end, whoever stops waiting: what is on disk and what is here stay the same.
        await asyncio.shield(asyncio.get_running_loop().create_task(self._write(records, applied)))

    async def _write(self, records: _Records, applied: Sequence[board_pb2.QueuedWrite]) -> None:
        async with self._writing:
            payloads = [record.SerializeToString() for record in records]
            try:
                if self._file.needs_rewrite:
                    await asyncio.to_thread(self._file.rewrite, [*self._payloads(), *payloads])
                else:
                    await asyncio.to_thread(self._file.append, payloads)
            except OSError as error:
                raise UnknownOutcomeError(
                    f"the disk failed under the queue of writes ({error.strerror}); the write may be kept or not. Mend "
                    "the disk, then retry with the same request id"
                ) from error
            for record in records:
                self._lay(record)
            self.applied.extend(applied)
            await self._compact()
        for listener in self._listeners:
            listener()

    async def _compact(self) -> None:
        if self._file.size_bytes - self._bytes > max(self._bytes, GARBAGE_BYTES_MAX):
            try:
                await asyncio.to_thread(self._file.rewrite, self._payloads())
            except OSError:
                return  # the next change begins with it

    def _payloads(self) -> list[bytes]:
        """What the file has to hold."""
        records = []
        for entry in self:
            records.append(entry.record())
            if entry.refusal is not None:
                records.append(refused_record(entry.id, entry.refusal))
        return [record.SerializeToString() for record in records]

    def _lay(self, record: queue_pb2.QueueRecord) -> None:
        """Change what is here as a record says; one about a write that is not here changes nothing."""
        match record.WhichOneof("kind"):
            case "queued":
                self._add(Entry.of(record.queued))
            case "left":
                self._drop(record.left)
            case "refused":
                if entry := self._entries.get(record.refused.id):
                    entry.refusal = record.refused.error
            case "retried":
                # Once only: a second retry at the same moment must not make a second request of one that is on its way.
                if (entry := self._entries.get(record.retried.id)) and entry.refusal is not None:
                    self._drop(entry.id)
                    entry.command = entry.under(record.retried.request_id)
                    entry.refusal, entry.trouble, entry.attempts = None, None, 0
                    self._add(entry)
            case _:
                raise InvalidInputError("of no kind that this version knows; upgrade this node")

    def _add(self, entry: Entry) -> None:
        self._drop(entry.id)
        self._places += 1
        entry.place = self._places
        self._entries[entry.id] = entry
        self._by_request[entry.command.header.request_id] = entry.id
        self._by_task[entry.task_id] += 1
        if isinstance(entry.command, CreateTask):
            self._created[entry.task_id] = entry.project_id
        self._bytes += entry.size_bytes

    def _drop(self, entry_id: str) -> Entry | None:
        entry = self._entries.pop(entry_id, None)
        if entry is not None:
            self._by_request.pop(entry.command.header.request_id, None)
            self._by_task[entry.task_id] -= 1
            if not self._by_task[entry.task_id]:
                del self._by_task[entry.task_id]
            if isinstance(entry.command, CreateTask):
                self._created.pop(entry.task_id, None)
            self._bytes -= entry.size_bytes
        return entry
