"""Lanes on the event loop: coroutines that run in slices, by class and deadline, and give the loop back in between."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Generator, Mapping
from itertools import count
from typing import Any, TypeAlias, TypeVar

from weftmesh.core.errors import InvalidInputError, OverloadedError
from weftmesh.core.ola.model import ServiceClass
from weftmesh.core.schedule.events import (
    Burned,
    Effect,
    Next,
    Outcome,
    OutcomeKind,
    Overran,
    Ran,
    Refusal,
    Run,
    ServiceLowered,
    ServiceRaised,
    SetWeights,
    Submit,
    Unblock,
    Wake,
    WeightsChanged,
)
from weftmesh.core.schedule.machine import Scheduler
from weftmesh.core.schedule.model import Job, Settings, State
from weftmesh.runtime.lanes.delays import ClassDelays, DelayWindow
from weftmesh.runtime.lanes.overruns import Overruns
from weftmesh.runtime.lanes.pacing import Held, Paced
from weftmesh.runtime.telemetry import get_logger

T = TypeVar("T")
Change: TypeAlias = ServiceRaised | ServiceLowered | WeightsChanged
_log = get_logger("weftmesh.lanes")


class Lanes:
    """Runs coroutines by class: `core.schedule` says whose turn it is. Belongs to one running loop.

    A step lasts from one `await` that waits to the next; work that computes awaits `slicing.pause()` every 2 ms or so.
    Whoever holds the loop for longer than a slice is counted and named in the log. Between two turns the loop looks at
    everything else that it has to do. A turn is charged with what the step is to blame for, see `pacing.Held`.

    Args:
        settings: weights, patience, and when services are raised.
        changed: told when a service goes up or comes down, and when weights change.
    """

    def __init__(self, settings: Settings | None = None, changed: Callable[[Change], None] | None = None) -> None:
        self._machine = Scheduler(settings)
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._numbers = count(1)
        self._tasks: dict[int, asyncio.Task[Any]] = {}
        self._waiters: dict[int, asyncio.Future[None]] = {}
        self._turn: Run | None = None
        self._resting = False
        """A turn has just ended, and the loop has not looked at anything else since."""
        self._windows = {one: DelayWindow(one) for one in ServiceClass}
        self._overruns = Overruns()
        self._timer: asyncio.TimerHandle | None = None

    def submit(
        self,
        service_class: ServiceClass,
        deadline_s: float,
        work: Coroutine[Any, Any, T],
        *,
        name: str,
        service: str = "",
    ) -> asyncio.Task[T]:
        """Run a coroutine in a lane.

        Args:
            service_class: what it is worth.
            deadline_s: in so many seconds from now it should have ended; the earliest of its class is next. What has
                not ended by then gets a new deadline as far away.
            work: see `slicing` for generators and long computations. It is closed if it is refused.
            name: for people: it stands in the log when it holds the loop for too long.
            service: it runs one class above its own while this service burns its error budget.

        Returns:
            Its task: await it, or cancel it.

        Raises:
            OverloadedError: too many jobs have not ended.
            InvalidInputError: the deadline is no time.
        """
        now_s = time.monotonic()
        job = Job(next(self._numbers), name, service_class, deadline_s, service)
        outcome, _ = self._machine.apply(Submit(job), now_s)
        if outcome.kind is OutcomeKind.REFUSED:
            work.close()
            full = outcome.refusal is Refusal.LIMIT_REACHED
            raise (OverloadedError if full else InvalidInputError)(outcome.message)
        task = self._loop.create_task(_run(Paced(work, self, job.id)), name=name)
        self._tasks[job.id] = task
        task.add_done_callback(lambda _: self._gone(job.id, work))
        return task

    def burned(self, service: str, rate: float) -> Outcome:
        """Take in how many times as fast as it may a service spends its error budget; its jobs may move up or down."""
        outcome, effects = self._machine.apply(Burned(service, rate), time.monotonic())
        self._carry_out(effects)
        return outcome

    def set_weights(self, weights: Mapping[ServiceClass, float], why: str) -> Outcome:
        """Share the loop's time in another way from now on."""
        outcome, effects = self._machine.apply(SetWeights(weights, why), time.monotonic())
        self._carry_out(effects)
        return outcome

    def delays(self) -> tuple[ClassDelays, ...]:
        """How long jobs waited and held the loop: critical, normal, batch."""
        now_s = time.monotonic()
        return tuple(window.row(now_s, self._machine.waiting(one)) for one, window in self._windows.items())

    def raised(self) -> Mapping[str, float]:
        """Services whose jobs run one class up, and how many times as fast as they may they spend their budgets."""
        return self._machine.raised()

    def overruns(self) -> Mapping[str, int]:
        """How often each job held the loop for longer than a slice, by name."""
        return self._overruns.counts()

    def story(self, service: str) -> str:
        """What happened to a service's jobs, for people."""
        return self._machine.story(service)

    async def stop(self) -> None:
        """Cancel every job and wait until it has ended."""
        if self._timer is not None:
            self._timer.cancel()
        tasks = tuple(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # Turns, see pacing.Turns

    def turn(self, job: int) -> Generator[Any, None, None]:
        """Wait until it is this job's turn; at once if nobody has had one since the loop last looked around."""
        if not self._resting:
            self._give()
        if self._turn is not None and self._turn.job.id == job:
            return
        waiter = self._waiters[job] = self._loop.create_future()
        try:
            yield from waiter
        finally:
            del self._waiters[job]

    def ended(self, job: int, held: Held, then: State) -> None:
        """A step is over: whoever ran it pays, and the loop looks around before the next."""
        now_s = time.monotonic()
        _, effects = self._machine.apply(Ran(job, held.own_s, then), now_s)
        if self._turn is not None and self._turn.job.id == job:
            self._windows[self._turn.service_class].ended(now_s, held.wall_s, bool(effects))
            self._turn = None
        for effect in effects:
            if isinstance(effect, Overran):
                self._overruns.add(effect.job.name, held, now_s)
        if not self._resting and not self._loop.is_closed():
            self._resting = True
            self._loop.call_soon(self._rested)

    def unblock(self, job: int) -> None:
        """What a job waited for is there."""
        self._machine.apply(Unblock(job), time.monotonic())

    def _rested(self) -> None:
        self._resting = False
        self._give()

    def _give(self) -> None:
        """Give the next turn, unless somebody has it."""
        now_s = time.monotonic()
        _, effects = self._machine.apply(Next(), now_s)
        for run in effects:
            if isinstance(run, Run):
                self._turn = run
                self._windows[run.service_class].given(now_s, run)
                waiter = self._waiters.get(run.job.id)
                if waiter is not None and not waiter.done():
                    waiter.set_result(None)

    def _gone(self, job: int, work: Coroutine[Any, Any, object]) -> None:
        """A task ended, maybe without a single step."""
        del self._tasks[job]
        work.close()
        if self._machine.known(job):
            self.ended(job, Held(0.0, 0.0, False), State.ENDED)

    # Changes

    def _carry_out(self, effects: tuple[Effect, ...]) -> None:
        for effect in effects:
            if isinstance(effect, ServiceRaised | ServiceLowered):
                up = isinstance(effect, ServiceRaised)
                _log.warning("service raised" if up else "service lowered", service=effect.service, why=effect.reason)
            if isinstance(effect, ServiceRaised | ServiceLowered | WeightsChanged) and self._changed is not None:
                self._changed(effect)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline_s = self._machine.next_deadline()
        if deadline_s is not None:
            self._timer = self._loop.call_later(max(0.0, deadline_s - time.monotonic()), self._wake)

    def _wake(self) -> None:
        self._carry_out(self._machine.apply(Wake(), time.monotonic())[1])


async def _run(paced: Paced[T]) -> T:
    return await paced
