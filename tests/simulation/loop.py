"""A node's event loop and clock: asyncio without a selector, run by the world's agenda."""

from __future__ import annotations

import asyncio
import collections
import heapq
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any

from tests.simulation.world import World

CALLBACKS_LIMIT = 20_000
"""At one moment of a node; a node that never comes to rest is a defect."""
CLOCK_CALL_S = 0.0002
"""What a look at the clock costs the original core, whose send loops end by the clock only."""

RESOLUTION_S = 1e-6
"""No timer is shorter: sums of floats could otherwise stop just before it."""


class NodeClock:
    """Runs at its own rate from its own zero, and can jump forward."""

    def __init__(self, world: World, *, rate: float = 1.0, read_cost_s: float = 0.0) -> None:
        self._world = world
        self._rate = rate
        self.read_cost_s = read_cost_s
        """A look at it takes this long."""
        self._at_s = world.now_s
        self._shows_s = world.rng.random() * 1e4

    def read(self) -> float:
        """The time it shows."""
        self._shows_s += self.read_cost_s
        return self._shows_s + (self._world.now_s - self._at_s) * self._rate

    def jump(self, by_s: float) -> None:
        """Show a later time at once."""
        self._shows_s += by_s

    def set_rate(self, rate: float) -> None:
        """Go faster or slower from now on."""
        self._shows_s, self._at_s = self.read(), self._world.now_s
        self._rate = rate

    def delay_until(self, shows_s: float) -> float:
        """How long it is, in the world, until it shows a time."""
        return max(RESOLUTION_S, (shows_s - self.read()) / self._rate)


class RestlessError(RuntimeError):
    """A node keeps scheduling callbacks without end."""


class NodeLoop(asyncio.AbstractEventLoop):
    """What an engine uses of asyncio. It runs while its node acts and never blocks.

    Args:
        world: whose agenda holds the alarm for the next timer.
        clock: what timers go by.
        ring: called when a timer is due.
        executor: runs a function some time later and resolves the future with it.
    """

    def __init__(
        self,
        world: World,
        clock: NodeClock,
        ring: Callable[[], None],
        executor: Callable[[asyncio.Future[Any], Callable[[], Any]], None],
    ) -> None:
        self._world, self._clock, self._ring, self._executor = world, clock, ring, executor
        self._ready: collections.deque[asyncio.Handle] = collections.deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._alarm_s = float("inf")
        self._alarms = 0
        self._tasks: set[asyncio.Task[Any]] = set()
        self.failure: BaseException | None = None
        """What a callback or task raised that nobody handled."""

    # running

    def run_ready(self, goes_on: Callable[[], bool]) -> None:
        """Run what is due until nothing is, or the node stops."""
        self._collect_due()
        left = CALLBACKS_LIMIT
        while self._ready and goes_on():
            handle = self._ready.popleft()
            if not handle.cancelled():
                handle._run()
            left -= 1
            if not left:
                raise RestlessError(f"after {CALLBACKS_LIMIT} callbacks there are more: {handle!r}")
        self.set_alarm()

    def _collect_due(self) -> None:
        now_s = self._clock.read()
        while self._timers and (self._timers[0][0] <= now_s or self._timers[0][2].cancelled()):
            handle = heapq.heappop(self._timers)[2]
            if not handle.cancelled():
                self._ready.append(handle)

    def set_alarm(self) -> None:
        """Have the world ring for the first timer; also after the clock was changed."""
        while self._timers and self._timers[0][2].cancelled():
            heapq.heappop(self._timers)
        if not self._timers or self._timers[0][0] == self._alarm_s:
            return
        self.reset_alarm()

    def reset_alarm(self) -> None:
        """The clock does not go as it did when the alarm was set."""
        if not self._timers:
            return
        self._alarm_s = self._timers[0][0]
        self._alarms += 1
        alarm = self._alarms
        self._world.after(self._clock.delay_until(self._alarm_s), lambda: self._alarm_rang(alarm))

    def _alarm_rang(self, alarm: int) -> None:
        if alarm == self._alarms:
            self._alarm_s = float("inf")
            self._ring()

    def abandon(self) -> None:
        """The process is gone: nothing of it runs any more, not even its finally clauses later."""
        self._ready.clear()
        self._timers.clear()
        self._alarms += 1
        tasks, self._tasks = self._tasks, set()
        for task in sorted(tasks, key=lambda task: task.get_name()):
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            coroutine = task.get_coro()
            if coroutine is not None:
                coroutine.close()
        self._ready.clear()

    # what asyncio asks for

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def time(self) -> float:
        return self._clock.read()

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._clock.read() + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, self._world.stamp(), handle))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It is passed over when its time comes."""

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, Any], *, name: str | None = None, context: Context | None = None, **_: Any
    ) -> asyncio.Task[Any]:
        task = asyncio.Task(coro, loop=self, name=name or f"{self._world.stamp():09d}", context=context)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = asyncio.Future(loop=self)
        self._executor(future, lambda: func(*args))
        return future

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.failure = self.failure or context.get("exception") or RuntimeError(context.get("message"))
