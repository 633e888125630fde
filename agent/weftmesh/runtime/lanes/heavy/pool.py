"""A bounded pool of worker processes: started when there is work, kept for a while, killed at a deadline."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Final

from weftmesh.core.errors import OverloadedError, WeftmeshError
from weftmesh.core.ola.model import ServiceClass
from weftmesh.runtime.lanes.children import Child, start_child
from weftmesh.runtime.lanes.framing import read_frame
from weftmesh.runtime.lanes.heavy.child import Kind, work
from weftmesh.runtime.lanes.registry import HEAVY, load

CHILD_MODULE: Final = "weftmesh.runtime.lanes.heavy.child"


class WorkFailedError(WeftmeshError):
    """A heavy function raised, or its process ended; the message says which."""

    reason = "WORK_FAILED"


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """How workers are run.

    Attributes:
        workers: processes at the same time.
        waiting_max: calls that wait for a worker; more are refused.
        nice: how far below others they are scheduled, 0 to 19.
        idle_s: after so long without work a worker ends; starting another takes tenths of a second.
    """

    workers: int = 1
    waiting_max: int = 64
    nice: int = 10
    idle_s: float = 60.0


class HeavyPool:
    """Runs registered functions of bytes in worker processes. Belongs to one running loop.

    Args:
        modules: which register the functions; workers import them, and nothing else.
        settings: how many workers, and how they are run.

    Raises:
        ImportError: there is no such module.
    """

    def __init__(self, modules: Sequence[str], settings: PoolSettings | None = None) -> None:
        load(modules)
        self._modules = tuple(modules)
        self._settings = settings or PoolSettings()
        self._free = self._settings.workers
        self._order = count()
        self._waiting: list[tuple[ServiceClass, float, int, asyncio.Future[None]]] = []
        self._idle: list[tuple[Child, asyncio.TimerHandle]] = []
        self._ending: set[asyncio.Task[int]] = set()

    async def run(
        self, function: str, payload: bytes, deadline_s: float, service_class: ServiceClass = ServiceClass.BATCH
    ) -> bytes:
        """Run a function and return what it returns.

        Args:
            function: as registered, see `registry.HEAVY`.
            payload: for it.
            deadline_s: from now; when it passes, the worker is killed.
            service_class: higher ones get a worker first, within one the earliest deadline.

        Raises:
            InvalidInputError: there is no such function, or the payload is above 16 MiB.
            OverloadedError: too many calls wait, or the deadline passed (reason DEADLINE_EXCEEDED).
            WorkFailedError: the function raised, or its worker ended.
            OSError: no worker can be started.
        """
        HEAVY[function]
        asked = work(function, payload)
        timeout = asyncio.timeout(deadline_s)
        try:
            async with timeout:
                await self._place(service_class, deadline_s)
                try:
                    return await self._in_worker(function, asked)
                finally:
                    self._leave()
        except TimeoutError:
            if not timeout.expired():
                raise
            raise OverloadedError(
                f"{function} was not done within {deadline_s} s; give it more time or less to do",
                reason="DEADLINE_EXCEEDED",
            ) from None

    async def stop(self) -> None:
        """End all workers; callers have been cancelled or have ended before."""
        for child, timer in self._idle:
            timer.cancel()
            self._let_go(child)
        self._idle.clear()
        await asyncio.gather(*self._ending, return_exceptions=True)

    async def _place(self, service_class: ServiceClass, deadline_s: float) -> None:
        """Wait for one of the places."""
        if self._free:
            self._free -= 1
            return
        self._waiting = sorted(one for one in self._waiting if not one[3].done())
        if len(self._waiting) >= self._settings.waiting_max:
            raise OverloadedError(f"{len(self._waiting)} calls wait for a worker already; try again later")
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        heapq.heappush(self._waiting, (service_class, loop.time() + deadline_s, next(self._order), turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave()
            raise

    def _leave(self) -> None:
        """Give a place on."""
        while self._waiting:
            turn = heapq.heappop(self._waiting)[3]
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    async def _in_worker(self, function: str, asked: bytes) -> bytes:
        child = await self._worker()
        try:
            child.writer.write(asked)
            kind, body = await read_frame(child.reader)
        except (asyncio.IncompleteReadError, ConnectionError):
            code = await child.end()
            raise WorkFailedError(f"the process that ran {function} ended with code {code}") from None
        except BaseException:
            child.kill()
            self._let_go(child)
            raise
        self._keep(child)
        if kind == Kind.FAILED:
            raise WorkFailedError(f"{function}: {body.decode(errors='replace')}")
        return body

    async def _worker(self) -> Child:
        while self._idle:
            child, timer = self._idle.pop()
            timer.cancel()
            if child.process.poll() is None:
                return child
            self._let_go(child)
        return await start_child(CHILD_MODULE, str(self._settings.nice), *self._modules)

    def _keep(self, child: Child) -> None:
        timer = asyncio.get_running_loop().call_later(self._settings.idle_s, self._tired, child)
        self._idle.append((child, timer))

    def _tired(self, child: Child) -> None:
        self._idle = [one for one in self._idle if one[0] is not child]
        self._let_go(child)

    def _let_go(self, child: Child) -> None:
        """End a worker beside everything else."""
        task = asyncio.create_task(child.end())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
