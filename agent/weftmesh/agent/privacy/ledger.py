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

from weftmesh.agent.chain.appending import Chain, Snapshot
from weftmesh.agent.chain.files import FILE_BYTES_MAX
from weftmesh.agent.chain.reading import Form
from weftmesh.agent.raft.log.disk import Disk
from weftmesh.core.errors import OverloadedError, PreconditionError
from weftmesh.core.hash_chain import Head
from weftmesh.core.privacy.chain import EGRESS_CODEC
from weftmesh.core.privacy.egress import Egress, EgressClass, check_egress
from weftmesh.runtime.clock import wall_us

BATCH_RECORDS_MAX: Final = 1_024
"""That share a sync."""
WAITING_MAX: Final = 16_384
EGRESS: Final = Form("egress ledger", ".egress", EGRESS_CODEC)

log = structlog.get_logger("weftmesh.privacy")


@dataclass(slots=True, eq=False)
class _Waiting:
    """A record that waits for the disk."""

    time_us: int
    egress: Egress
    receipt: asyncio.Future[Head]


class EgressLedger:
    """The ledger; made by `open`. On the event loop only.

    Attributes:
        totals: of each class, how many payloads and bytes it let leave since the start.
    """

    def __init__(self, chain: Chain[Egress], now_us: Callable[[], int]) -> None:
        self.totals: dict[EgressClass, tuple[int, int]] = {
            one: (0, 0) for one in EgressClass if one is not EgressClass.HEALTH
        }
        self._chain = chain
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
        chain = Chain.open(directory, EGRESS, disk, file_bytes_max)
        try:
            chain.sync()
        except OSError as error:
            log.warning("the egress ledger cannot be synced: nothing leaves this node until it can", why=str(error))
        return cls(chain, now_us)

    @property
    def head(self) -> Head:
        """The last record that is on disk."""
        return self._chain.head

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
            return await asyncio.to_thread(self._chain.snapshot)

    async def close(self) -> None:
        """Write down what waits, and close the files."""
        self._closed = True
        if self._committing is not None:
            await self._committing
        async with self._writing:
            try:
                await asyncio.to_thread(self._chain.close)
            except OSError as error:
                log.warning("what the egress ledger acknowledged is noted, but perhaps not durably", why=str(error))

    async def _commit(self) -> None:
        """Write until nobody waits."""
        while self._waiting:
            batch, self._waiting = self._waiting[:BATCH_RECORDS_MAX], self._waiting[BATCH_RECORDS_MAX:]
            async with self._writing:
                try:
                    heads = await asyncio.to_thread(self._chain.append, [(one.time_us, one.egress) for one in batch])
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
