"""The egress ledger of one node: what is about to leave is on disk in its chain before anybody may send it.

Records of callers that wait at the same time share one sync (group commit), made in a thread. The order of the calls is
the order of the records. A record whose payload was never sent is possible, after a crash for instance; a payload that
was sent without a record is not, as long as senders wait for `record`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import structlog

from weftmesh.agent.privacy.files import FILE_BYTES_MAX, LedgerFiles
from weftmesh.agent.privacy.reading import Part
from weftmesh.agent.privacy.recovery import NOTE_NAME, Resumption, read_note, resume
from weftmesh.agent.raft.log.disk import Disk
from weftmesh.core.errors import OverloadedError, PreconditionError
from weftmesh.core.privacy.chain import Break, Head, Record, hash_of, pack
from weftmesh.core.privacy.egress import Egress, EgressClass, check_egress
from weftmesh.runtime.clock import wall_us
from weftmesh.runtime.files import make_private_directory

BATCH_RECORDS_MAX: Final = 1_024
"""That share a sync."""
WAITING_MAX: Final = 16_384

log = structlog.get_logger("weftmesh.privacy")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The ledger at one moment, for a reader; files only grow, so it stays readable.

    Attributes:
        parts: its files, oldest first.
        head: the last record.
        broken: a break that was found when the node started and that the next record will name; empty if none.
    """

    parts: list[Part]
    head: Head
    broken: str


@dataclass(slots=True, eq=False)
class _Waiting:
    """A record that waits for the disk."""

    time_us: int
    egress: Egress
    receipt: asyncio.Future[Head]


class EgressLedger:
    """The ledger; made by `open`. On the event loop only.

    Attributes:
        head: the last record that is on disk.
        totals: of each class, how many payloads and bytes it let leave since the start.
    """

    def __init__(self, files: LedgerFiles, resumption: Resumption, now_us: Callable[[], int]) -> None:
        self.head = resumption.head
        self.totals: dict[EgressClass, tuple[int, int]] = {
            one: (0, 0) for one in EgressClass if one is not EgressClass.HEALTH
        }
        self._files = files
        self._next_sequence = resumption.next_sequence
        self._broken = resumption.broken
        self._now_us = now_us
        self._waiting: list[_Waiting] = []
        self._committing: asyncio.Task[None] | None = None
        self._writing = asyncio.Lock()
        self._closed = False
        self._failing = False

    @classmethod
    def open(
        cls,
        directory: Path,
        disk: Disk,
        now_us: Callable[[], int] = wall_us,
        file_bytes_max: int = FILE_BYTES_MAX,
    ) -> Self:
        """Go on with the ledger in `directory`, or begin one.

        Args:
            directory: made if missing.
            disk: where it is.
            now_us: microseconds since 1970.
            file_bytes_max: a file that would grow beyond it is sealed.

        Raises:
            OSError: the directory cannot be used.
        """
        make_private_directory(directory)
        resumption = resume(directory, read_note(directory / NOTE_NAME))
        if resumption.broken:
            log.error(
                "the egress ledger is damaged; it goes on behind a break that names this",
                found=resumption.broken,
                what_to_do="keep the directory as it is and run `weftmesh privacy verify`",
                directory=str(directory),
            )
        elif resumption.cut_bytes:
            log.warning(
                "the egress ledger ends in what was never acknowledged; it is written over",
                file=resumption.path.name,
                size_bytes=resumption.cut_bytes,
            )
        files = LedgerFiles(directory, disk, resumption.path, resumption.end_bytes, file_bytes_max)
        try:
            files.sync()
        except OSError as error:
            log.warning("the egress ledger cannot be synced: nothing leaves this node until it can", why=str(error))
        return cls(files, resumption, now_us)

    async def record(self, egress: Egress) -> Head:
        """Return where the record stands once it is on disk: only now may the payload leave.

        Raises:
            InvalidInputError: this is nothing for this ledger; see `check_egress`.
            OverloadedError: too many records wait for the disk.
            PreconditionError: the disk failed, or the node stops. The payload must not leave.
        """
        check_egress(egress)
        if self._closed:
            raise PreconditionError("this node stops; nothing may leave it any more", reason="EGRESS_NOT_RECORDED")
        if len(self._waiting) >= WAITING_MAX:
            raise OverloadedError(
                f"{WAITING_MAX} records wait for the disk under the egress ledger; send less at a time"
            )
        loop = asyncio.get_running_loop()
        receipt: asyncio.Future[Head] = loop.create_future()
        self._waiting.append(_Waiting(self._now_us(), egress, receipt))
        if self._committing is None or self._committing.done():
            self._committing = loop.create_task(self._commit())
        return await receipt

    async def snapshot(self) -> Snapshot:
        """The ledger as it is now."""
        async with self._writing:
            return Snapshot(await asyncio.to_thread(self._files.parts), self.head, self._broken)

    async def close(self) -> None:
        """Write down what waits, and close the files."""
        self._closed = True
        if self._committing is not None:
            await self._committing
        async with self._writing:
            try:
                await asyncio.to_thread(self._files.sync_note)
            except OSError as error:
                log.warning("what the egress ledger acknowledged is noted, but perhaps not durably", why=str(error))
            self._files.close()

    async def _commit(self) -> None:
        """Write until nobody waits."""
        while self._waiting:
            batch, self._waiting = self._waiting[:BATCH_RECORDS_MAX], self._waiting[BATCH_RECORDS_MAX:]
            async with self._writing:
                try:
                    heads = await asyncio.to_thread(self._append, batch)
                except Exception as error:  # noqa: BLE001 - whatever it is, whoever waits has to hear of it
                    self._refuse(batch, error)
                    continue
            self._failing = False
            for waiting, head in zip(batch, heads, strict=True):
                self._count(waiting.egress)
                if not waiting.receipt.done():
                    waiting.receipt.set_result(head)

    def _count(self, egress: Egress) -> None:
        count, size_bytes = self.totals[egress.egress_class]
        self.totals[egress.egress_class] = count + 1, size_bytes + egress.size_bytes

    def _append(self, batch: Sequence[_Waiting]) -> list[Head]:
        """In a thread: chain the records, and make them durable or change nothing."""
        head, sequence = self.head, self._next_sequence
        contents: list[tuple[int, Egress | Break]] = [(one.time_us, one.egress) for one in batch]
        if self._broken:
            contents.insert(0, (batch[0].time_us, Break(self._broken)))
        payloads, heads = [], []
        for time_us, content in contents:
            payload = pack(Record(sequence, self.head.sequence, time_us, head.hash, content))
            head = Head(sequence, hash_of(payload))
            payloads.append(payload)
            heads.append(head)
            sequence += 1
        self._files.append(payloads, head)
        self.head, self._next_sequence, self._broken = head, sequence, ""
        return heads[-len(batch) :]

    def _refuse(self, batch: Sequence[_Waiting], error: Exception) -> None:
        if not self._failing:
            log.error("the egress ledger cannot be written: nothing leaves this node until it can", why=str(error))
        self._failing = True
        # Whoever asked for the payload is told as well, and this node's paths are no business of theirs.
        why = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
        for waiting in batch:
            if not waiting.receipt.done():
                waiting.receipt.set_exception(
                    PreconditionError(
                        f"the egress ledger cannot be written ({why}), so the payload must not leave; free space or "
                        "mend the disk under the data directory of this node and try again",
                        reason="EGRESS_NOT_RECORDED",
                    )
                )
