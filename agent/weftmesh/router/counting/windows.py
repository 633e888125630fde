"""Hands what this node counted to the node: each window once it is over, then the word that it is so.

A window is on disk before it is sent, and until the node's log has it; it may be sent twice, since the first word for a
window holds. What is open is saved every few seconds: a router that is killed loses what it counted since.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from random import Random
from typing import Final, Protocol

import structlog

from weftmesh.client.errors import is_retryable
from weftmesh.core.errors import InvalidInputError, WeftmeshError
from weftmesh.core.ola.replicated.outcomes import Reason
from weftmesh.core.ola.replicated.rows import SHOWN_S
from weftmesh.ola.v1 import command_pb2, ola_pb2
from weftmesh.router.counting.counts import CountedWindow, Counting
from weftmesh.router.counting.window_store import WindowStore

GRACE_MS: Final = 3_000
"""After a window's end, for reports of requests that ended in it."""
SPREAD_S: Final = 5.0
"""Nodes do not all write at once."""
TICK_S: Final = 1.0
"""Between two looks at the clock."""
SAVE_S: Final = 10.0
"""Between two times that open counts are saved."""
RETRY_FIRST_S: Final = 1.0
RETRY_MAX_S: Final = 60.0
CALL_S: Final = 15.0

log = structlog.get_logger("weftmesh.router.counting.windows")


class Records(Protocol):
    """What the node takes; `client.OlaApi` is one."""

    async def record_window(
        self, starts_s: int, counts: Iterable[command_pb2.ObjectiveCount], *, timeout_s: float | None = None
    ) -> ola_pb2.ChangeAgreementsResponse:
        """See OlaApi."""

    async def confirm_window(
        self, starts_s: int, agreements: Iterable[command_pb2.ConfirmedAgreement], *, timeout_s: float | None = None
    ) -> ola_pb2.ChangeAgreementsResponse:
        """See OlaApi."""


class Windows:
    """Closes, keeps and sends windows.

    Args:
        records: the node.
        counting: counts.
        store: keeps.
        wall_ms: the wall clock.
        rng: spreads nodes.

    Attributes:
        left_out: windows that were given up.
    """

    def __init__(
        self, records: Records, counting: Counting, store: WindowStore, wall_ms: Callable[[], int], rng: Random
    ) -> None:
        self._records = records
        self._counting = counting
        self._store = store
        self._wall_ms = wall_ms
        self._rng = rng
        self._unsaved: deque[CountedWindow] = deque()
        self._closed = asyncio.Event()
        self._fails = False
        self.left_out = 0

    async def run(self) -> None:
        """Go on until cancelled; `save` keeps what is open then."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_closing())
            tasks.create_task(self._keep_sending())

    async def close_windows(self) -> bool:
        """Put what is over on disk; whether something was.

        Raises:
            OSError: the disk refused; it is tried again with the next call.
        """
        for window in self._counting.close(self._wall_ms() - GRACE_MS):
            if window.left_out:
                log.error("a window holds no more objectives", starts_s=window.starts_s, left_out=window.left_out)
            self._unsaved.append(window)
        if not self._unsaved:
            return False
        await self.save()
        return True

    async def save(self) -> None:
        """Keep what is over and what is open; also when `run` was cut off.

        Raises:
            OSError: the disk refused.
        """
        while self._unsaved:
            await asyncio.to_thread(self._store.put, self._unsaved[0])
            self._unsaved.popleft()
        await asyncio.to_thread(self._store.save_open_counts, self._counting.open_counts)

    async def send_windows(self) -> bool:
        """Send what waits, the oldest first; whether nothing waits any more.

        Raises:
            OSError: the disk refused.
        """
        all_sent = True
        for starts_s in await asyncio.to_thread(self._store.waiting):
            window = await asyncio.to_thread(self._store.get, starts_s)
            if window is None:
                continue
            try:
                await self._send(window)
            except WeftmeshError as error:
                log.info("a window waits for the node", starts_s=starts_s, why=str(error))
                all_sent = False
                if is_retryable(error):
                    break  # the node is away: the next one would wait for it as well
            else:
                await asyncio.to_thread(self._store.remove, starts_s)
        return all_sent

    async def _send(self, window: CountedWindow) -> None:
        """Record and confirm a window, or give it up.

        Raises:
            WeftmeshError: it may succeed later.
        """
        counts = [
            command_pb2.ObjectiveCount(name=one.name, objective=one.objective, good=one.good, total=one.total)
            for one in window.counts
        ]
        agreements = [
            command_pb2.ConfirmedAgreement(name=one.name, generation=one.generation, workflow=one.workflow)
            for one in window.agreements
        ]
        try:
            await self._records.record_window(window.starts_s, counts, timeout_s=CALL_S)
        except WeftmeshError as error:
            if not isinstance(error, InvalidInputError) and error.reason != Reason.WINDOW_TOO_OLD:
                raise
            self.left_out += 1
            log.warning("a window is not taken, and dropped", starts_s=window.starts_s, why=str(error))
            return
        try:
            await self._records.confirm_window(window.starts_s, agreements, timeout_s=CALL_S)
        except WeftmeshError as error:
            is_old = self._wall_ms() // 1_000 - window.starts_s > SHOWN_S
            if not isinstance(error, InvalidInputError) and not (is_old and error.reason == Reason.WINDOW_NOT_RECORDED):
                raise
            log.warning("a window is recorded, and cannot be confirmed", starts_s=window.starts_s, why=str(error))

    async def _keep_closing(self) -> None:
        loop = asyncio.get_running_loop()
        saved_at_s = loop.time()
        while True:
            await asyncio.sleep(TICK_S)
            try:
                if await self.close_windows():
                    self._closed.set()
                elif loop.time() - saved_at_s >= SAVE_S:
                    await self.save()
                else:
                    continue
            except OSError as error:
                if not self._fails:
                    log.error("counts cannot be kept on disk", why=str(error), what_to_do="look at the state directory")  # noqa: TRY400
                self._fails = True
            else:
                self._fails = False
            saved_at_s = loop.time()

    async def _keep_sending(self) -> None:
        pause_s = RETRY_FIRST_S
        while True:
            try:
                all_sent = await self.send_windows()
            except OSError as error:
                log.error("windows cannot be read", why=str(error), what_to_do="look at the state directory")  # noqa: TRY400
                all_sent = False
            if all_sent:
                pause_s = RETRY_FIRST_S
                await self._closed.wait()
                self._closed.clear()
                await asyncio.sleep(self._rng.uniform(0.0, SPREAD_S))
            else:
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, RETRY_MAX_S)
