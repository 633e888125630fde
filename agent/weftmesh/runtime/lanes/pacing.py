"""A coroutine that takes every one of its steps in a turn of its own, and is measured."""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Coroutine, Generator
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from weftmesh.core.schedule.model import State

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Held:
    """How long one step held the loop.

    Attributes:
        wall_s: from its beginning to its end.
        cpu_s: of that its thread had a processor.
        blocked: whether the thread gave its processor up by itself, as in a call that sleeps or waits.
    """

    wall_s: float
    cpu_s: float
    blocked: bool

    @property
    def own_s(self) -> float:
        """What the step is to blame for: other processes may have had the processor in between."""
        return self.wall_s if self.blocked else self.cpu_s


class StepClock:
    """Measures a step from where this is made."""

    __slots__ = ("_cpu_s", "_waits", "_wall_s")

    def __init__(self) -> None:
        self._waits = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
        self._cpu_s = time.thread_time()
        self._wall_s = time.perf_counter()

    def held(self) -> Held:
        """What there is until now."""
        wall_s, cpu_s = time.perf_counter() - self._wall_s, time.thread_time() - self._cpu_s
        return Held(wall_s, cpu_s, resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw > self._waits)


class Turns(Protocol):
    """Gives turns."""

    def turn(self, job: int) -> Generator[Any, None, None]:
        """Wait until it is this job's turn."""

    def ended(self, job: int, held: Held, then: State) -> None:
        """The job's turn is over, or it ran without one."""

    def unblock(self, job: int) -> None:
        """What the job waited for is there."""


class Paced(Generic[T]):
    """Drives `work` within a task of its own, so that timeouts, cancelling and `current_task` are as everywhere.

    What the work awaits goes on to the task. What is thrown in to end it (cancelling, closing) does not wait for a
    turn, as nobody should wait for what is given up.

    Args:
        work: a coroutine; where it awaits nothing but `slicing.pause()` it gives its turn back.
        turns: whom to ask.
        job: its number there.
    """

    def __init__(self, work: Coroutine[Any, Any, T], turns: Turns, job: int) -> None:
        self._work = work
        self._turns = turns
        self._job = job

    def __await__(self) -> Generator[Any, None, T]:
        thrown: BaseException | None = None
        while True:
            if not _ends(thrown):
                try:
                    yield from self._turns.turn(self._job)
                except (asyncio.CancelledError, GeneratorExit) as error:
                    thrown = error
            then, clock = State.ENDED, StepClock()
            try:
                awaited = self._work.send(None) if thrown is None else self._work.throw(thrown)
                then = State.READY if awaited is None else State.BLOCKED
            except StopIteration as returned:
                return returned.value  # type: ignore[no-any-return]  # StopIteration is not generic
            finally:
                self._turns.ended(self._job, clock.held(), then)
            thrown = None
            if awaited is not None:
                try:
                    yield awaited
                except BaseException as error:  # noqa: BLE001 - it is the work's: thrown in there with its next step
                    thrown = error
                self._turns.unblock(self._job)


def _ends(thrown: BaseException | None) -> bool:
    return isinstance(thrown, asyncio.CancelledError | GeneratorExit)
