"""The parent of the critical lane: starts the child, hands it ticks, hears results, starts it again."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from weftmesh.core.errors import DataCorruptionError, InvalidInputError
from weftmesh.core.latency import LatencyWindow
from weftmesh.runtime.lanes.children import Child, start_child
from weftmesh.runtime.lanes.critical import messages
from weftmesh.runtime.lanes.critical.messages import Kind, Tick, TickResult
from weftmesh.runtime.lanes.framing import read_frame
from weftmesh.runtime.lanes.registry import TICKS, load
from weftmesh.runtime.telemetry import get_logger

CHILD_MODULE: Final = "weftmesh.runtime.lanes.critical.child"
PERIOD_MIN_S: Final = 0.001
BACKOFF_MAX_S: Final = 10.0
WELL_S: Final = 60.0
"""A child that ran for so long is started again as if it were the first."""
START_TIMEOUT_S: Final = 30.0
SILENCES_MAX: Final = 3
SILENCES_AT_START_MAX: Final = 30
"""A child that has not said anything yet imports its modules, on a machine that may be full."""
_log = get_logger("weftmesh.lanes.critical")


@dataclass(frozen=True, slots=True)
class LaneSettings:
    """How the child is run.

    Attributes:
        real_time: ask for SCHED_RR; without it the same lane is an ordinary process.
        silence_s: a child of which nothing was heard three times in a row at this interval hangs and is killed.
        backoff_s: before a child that ended is started again; twice as long each time until one runs for a minute.
    """

    real_time: bool = True
    silence_s: float = 1.0
    backoff_s: float = 0.2


@dataclass(frozen=True, slots=True)
class LaneStatus:
    """The lane as it is; lateness is of the last five minutes, None without starts.

    Attributes:
        pid: of the child; None while there is none.
        real_time: whether it runs under SCHED_RR.
        why: why not, and how to allow it.
        restarts: how often a child ended that should not have.
        starts: of ticks in the last five minutes.
        skipped: starts left out by this child, as the one before had not ended.
        dropped: results of this child that were not read in time.
        late_p50_us: from the moment when a tick should have started to its start.
        late_p99_us: the same.
        late_max_us: the same.
    """

    pid: int | None
    real_time: bool
    why: str
    restarts: int
    starts: int
    skipped: int
    dropped: int
    late_p50_us: float | None
    late_p99_us: float | None
    late_max_us: float | None


class CriticalLane:
    """Ticks that start on time whatever else the machine does. Belongs to one running loop.

    Args:
        modules: which register the ticks' functions; the child imports them, and nothing else.
        received: told each result. What it raises is logged.
        settings: of the child.

    Raises:
        ImportError: there is no such module.
    """

    def __init__(
        self, modules: Sequence[str], received: Callable[[TickResult], None], settings: LaneSettings | None = None
    ) -> None:
        load(modules)
        self._modules = tuple(modules)
        self._received = received
        self._settings = settings or LaneSettings()
        self._ticks: tuple[Tick, ...] = ()
        self._child: Child | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._heard = False
        self._real_time, self._why = False, "the child has not started"
        self._restarts = self._skipped = self._dropped = 0
        self._lateness = LatencyWindow()

    async def start(self) -> None:
        """Start the child; return once it is ready. If that takes too long, it goes on being tried beside the rest."""
        self._keeping = asyncio.create_task(self._keep())
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                await self._ready.wait()
        except TimeoutError:
            _log.warning("critical lane is not ready yet, going on without it", waited_s=START_TIMEOUT_S)

    async def stop(self) -> None:
        """End the child; it is gone when this returns."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
            self._keeping = None

    def set_ticks(self, ticks: Sequence[Tick]) -> None:
        """Run these ticks from now on and no others; a child that is started again gets them too.

        Raises:
            InvalidInputError: a function is not registered, or a period or a deadline is out of range.
        """
        for one in ticks:
            TICKS[one.function]
            if not (PERIOD_MIN_S <= one.period_s < math.inf and 0.0 < one.deadline_s < math.inf):
                raise InvalidInputError(
                    f"tick {one.name[:80]!r}: period {one.period_s} s, deadline {one.deadline_s} s; give a period of "
                    f"at least {PERIOD_MIN_S} s and a deadline above 0"
                )
        self._ticks = tuple(ticks)
        if self._child is not None:
            self._child.writer.write(messages.ticks(self._ticks))

    def status(self) -> LaneStatus:
        """What there is to tell."""
        now_ms = int(time.monotonic() * 1000)
        return LaneStatus(
            pid=None if self._child is None else self._child.process.pid,
            real_time=self._real_time,
            why=self._why,
            restarts=self._restarts,
            starts=self._lateness.count(now_ms),
            skipped=self._skipped,
            dropped=self._dropped,
            late_p50_us=self._lateness.quantile(now_ms, 0.5),
            late_p99_us=self._lateness.quantile(now_ms, 0.99),
            late_max_us=self._lateness.quantile(now_ms, 1.0),
        )

    async def _keep(self) -> None:
        """Have a child at all times."""
        backoff_s = self._settings.backoff_s
        while True:
            begun_s = time.monotonic()
            code = await self._one_child()
            self._restarts += 1
            ran_s = time.monotonic() - begun_s
            backoff_s = self._settings.backoff_s if ran_s > WELL_S else backoff_s
            _log.error("critical lane ended, starting again", code=code, ran_s=round(ran_s, 3), in_s=backoff_s)
            await asyncio.sleep(backoff_s)
            backoff_s = min(2 * backoff_s, BACKOFF_MAX_S)

    async def _one_child(self) -> int | None:
        """Run a child until it ends; return its exit code, None if it could not be started."""
        try:
            child = await start_child(CHILD_MODULE, "rr" if self._settings.real_time else "none", *self._modules)
        except OSError as error:
            _log.error("critical lane cannot start", error=str(error))
            return None
        self._child = child
        watching = asyncio.create_task(self._watch(child))
        try:
            child.writer.write(messages.ticks(self._ticks))
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    self._take(*await read_frame(child.reader))
        except DataCorruptionError as error:
            _log.error("critical lane said what nobody understands", error=str(error))
        finally:
            watching.cancel()
            self._child = None
            code = await child.end()
        return code

    def _take(self, kind: int, body: bytes) -> None:
        self._heard = True
        if kind == Kind.RESULT:
            one = messages.read_result(body)
            self._lateness.add(int(time.monotonic() * 1000), int(one.late_s * 1e6))
            try:
                self._received(one)
            except Exception:  # noqa: BLE001 - a result that nobody can use must not end the lane
                _log.exception("result of a tick was not taken", tick=one.name)
        elif kind == Kind.ALIVE:
            self._skipped, self._dropped = messages.read_alive(body)
        elif kind == Kind.HELLO:
            self._real_time, self._why = messages.read_hello(body)
            if not self._real_time and self._settings.real_time:
                _log.warning("critical lane runs without real-time priority", why=self._why)
            self._ready.set()

    async def _watch(self, child: Child) -> None:
        """Kill a child that hangs. A parent that could not run itself misses one look, not three."""
        silences, silences_max = 0, SILENCES_AT_START_MAX
        while True:
            self._heard = False
            await asyncio.sleep(self._settings.silence_s)
            silences += 1
            if self._heard:
                silences, silences_max = 0, SILENCES_MAX
            elif silences >= silences_max:
                _log.error("critical lane hangs, killing it", pid=child.process.pid)
                child.kill()
                return
