"""The scheduler: jobs and time in, whose turn it is out.

Classes share the time by their weights (start-time fair queueing: the class whose virtual time is least is next, equal
ones by rank; a class that had nothing to do saves nothing up). Within a class the earliest deadline is next, but every
second turn goes to whoever waited for longer than the class's patience. There is one turn at a time.

It never raises for an event: what cannot be is refused with an outcome. Time is seconds in any one clock; where it runs
backwards, the newest time goes on.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from weftmesh.core.ola.model import ServiceClass
from weftmesh.core.schedule.checking import check_jobs
from weftmesh.core.schedule.events import (
    Burned,
    Effect,
    Event,
    Next,
    Outcome,
    OutcomeKind,
    Overran,
    Ran,
    Refusal,
    Run,
    SetWeights,
    Submit,
    Unblock,
    Wake,
    WeightsChanged,
)
from weftmesh.core.schedule.model import Job, Settings, State, weights_problem
from weftmesh.core.schedule.queue import ClassQueue, Known, Waiting
from weftmesh.core.schedule.raising import Raises, above

CHARGE_MIN_S: Final = 5e-5
"""What a turn costs at least: giving it takes time as well, or turns that take none would get the loop for nothing."""
NOTES_KEPT: Final = 256
"""Changes of classes and weights, for stories."""
_APPLIED: Final = Outcome(OutcomeKind.APPLIED)
_UNCHANGED: Final = Outcome(OutcomeKind.UNCHANGED)
Answer = tuple[Outcome, tuple[Effect, ...]]


@dataclass(frozen=True, slots=True)
class Note:
    """Something that changed, for stories; `service` is empty for all of them."""

    time_s: float
    service: str
    text: str


class Scheduler:
    """Whose turn it is. Not safe for concurrent use; what it hands out is immutable.

    Args:
        settings: weights, patience, and when services are raised.

    Raises:
        InvalidInputError: the settings are out of range.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = (settings or Settings()).checked()
        self._weights = dict(self.settings.weights)
        self._queues = {one: ClassQueue() for one in ServiceClass}
        self._jobs: dict[int, Known] = {}
        self._raises = Raises(self.settings)
        self._turn: tuple[int, ServiceClass] | None = None
        """Who runs, and which class pays for it."""
        self._virtual = 0.0
        """The tag of the class that got the latest turn."""
        self._order = 0
        self._now_s = -math.inf
        self._notes: deque[Note] = deque(maxlen=NOTES_KEPT)
        self._handlers: Mapping[type, Callable[..., Answer]] = {
            Next: self._next,
            Ran: self._ran,
            Submit: self._submit,
            Unblock: self._unblock,
            Burned: self._burned,
            SetWeights: self._set_weights,
            Wake: self._wake,
        }

    # Verbs

    def apply(self, event: Event, now_s: float) -> Answer:
        """Take an event in; the effects are to be carried out in their order."""
        self._now_s = max(self._now_s, now_s)
        return self._handlers[type(event)](event)

    def next_deadline(self) -> float | None:
        """When to apply `Wake`, at the latest; None while nothing is under way. Turns are asked for by `Next`."""
        return self._raises.next_s()

    def check(self) -> None:
        """Asserts every invariant."""
        check_jobs(self._jobs, self._queues, None if self._turn is None else self._turn[0])

    def story(self, service: str) -> str:
        """What happened to a service, for people."""
        of_service = [one for one in self._jobs.values() if one.job.service == service]
        up = "one class up" if service in self._raises else "in its own class"
        lines = [f"service {service}: {len(of_service)} jobs, {up}"]
        lines += [f"  {one.job.name}: {one.state.value}, {one.runs_in.name.lower()}" for one in of_service]
        lines += [f"  at {note.time_s:.1f} s: {note.text}" for note in self._notes if note.service in ("", service)]
        return "\n".join(lines)

    # Reading

    def waiting(self, service_class: ServiceClass) -> int:
        """How many jobs of a class wait for a turn."""
        return len(self._queues[service_class])

    def known(self, job: int) -> bool:
        """Whether there is such a job, and it has not ended."""
        return job in self._jobs

    def raised(self) -> Mapping[str, float]:
        """Services that are one class up, and the rates at which they spend their budgets."""
        return self._raises.rates()

    def weights(self) -> Mapping[ServiceClass, float]:
        """Those in force."""
        return dict(self._weights)

    # Turns

    def _submit(self, event: Submit) -> Answer:
        job = event.job
        if job.id in self._jobs:
            return _refused(Refusal.ALREADY_EXISTS, f"job {job.name[:80]!r}: there is a job {job.id} already")
        if math.isnan(job.within_s):
            return _refused(Refusal.INVALID, f"job {job.name[:80]!r}: its deadline is no time")
        if len(self._jobs) >= self.settings.jobs_max:
            return _refused(
                Refusal.LIMIT_REACHED,
                f"job {job.name[:80]!r}: {len(self._jobs)} jobs have not ended; submit it again when some have",
            )
        known = self._jobs[job.id] = Known(job, State.READY, self._class_of(job), self._now_s + job.within_s)
        self._queue(known)
        return _APPLIED, ()

    def _next(self, event: Next) -> Answer:
        del event
        filled = [(queue.tag, one, queue) for one, queue in self._queues.items() if queue]
        if self._turn is not None or not filled:
            return _UNCHANGED, ()
        _, service_class, queue = min(filled)
        waiting, turn = queue.take(self._now_s, self.settings.patience_s[service_class])
        self._virtual = queue.tag
        self._jobs[waiting.job.id].state = State.RUNNING
        self._turn = waiting.job.id, service_class
        late_s = max(0.0, self._now_s - waiting.deadline_s)
        return _APPLIED, (Run(waiting.job, service_class, self._now_s - waiting.since_s, late_s, turn),)

    def _ran(self, event: Ran) -> Answer:
        known = self._jobs.get(event.job)
        if known is None:
            return _refused(Refusal.NO_SUCH_JOB, f"there is no job {event.job}; it may have ended")
        if event.then is State.RUNNING:
            return _refused(Refusal.WRONG_STATE, f"job {known.job.name[:80]!r}: a turn ends in another state")
        if not 0.0 <= event.ran_s < math.inf:
            return _refused(Refusal.INVALID, f"job {known.job.name[:80]!r}: {event.ran_s} s is no time to have run for")
        paying = known.runs_in
        if self._turn is not None and self._turn[0] == event.job:
            paying, self._turn = self._turn[1], None
        self._queues[paying].tag += max(event.ran_s, CHARGE_MIN_S) / self._weights[paying]
        self._queues[known.runs_in].remove(event.job)
        known.state = event.then
        if event.then is State.READY:
            self._queue(known)
        elif event.then is State.ENDED:
            del self._jobs[event.job]
        overran = event.ran_s > self.settings.slice_s
        return _APPLIED, (Overran(known.job, event.ran_s),) if overran else ()

    def _unblock(self, event: Unblock) -> Answer:
        known = self._jobs.get(event.job)
        if known is None:
            return _refused(Refusal.NO_SUCH_JOB, f"there is no job {event.job}; it may have ended")
        if known.state is not State.BLOCKED:
            return _refused(Refusal.WRONG_STATE, f"job {known.job.name[:80]!r} is {known.state.value}, not blocked")
        known.state = State.READY
        self._queue(known)
        return _APPLIED, ()

    # Recalibration

    def _burned(self, event: Burned) -> Answer:
        name = event.service
        if not name or not 0.0 <= event.rate < math.inf:
            return _refused(Refusal.INVALID, f"service {name[:80]!r}: {event.rate} is no rate of spending a budget")
        lowered = self._lowered()
        raised = self._raises.burned(name, event.rate, self._now_s)
        if raised is None and name not in self._raises and event.rate >= self.settings.raise_at and self._raises.full():
            message = f"service {name[:80]!r} stays in its class: {len(self._raises)} services are one class up already"
            return Outcome(OutcomeKind.REFUSED, message, Refusal.LIMIT_REACHED), lowered
        effects = lowered if raised is None else (*lowered, raised)
        if raised is not None:
            self._notes.append(Note(self._now_s, name, raised.reason))
            self._reclass(name)
        return _APPLIED if effects else _UNCHANGED, effects

    def _wake(self, event: Wake) -> Answer:
        del event
        lowered = self._lowered()
        return _APPLIED if lowered else _UNCHANGED, lowered

    def _lowered(self) -> tuple[Effect, ...]:
        effects = self._raises.ended(self._now_s)
        for one in effects:
            self._notes.append(Note(self._now_s, one.service, one.reason))
            self._reclass(one.service)
        return tuple(effects)

    def _reclass(self, service: str) -> None:
        """Move a service's jobs to the class that they run in from now on, each with the time that it has waited."""
        moved: dict[ServiceClass, list[Waiting]] = {}
        for known in self._jobs.values():
            if known.job.service != service:
                continue
            before, known.runs_in = known.runs_in, self._class_of(known.job)
            waiting = self._queues[before].remove(known.job.id) if known.runs_in is not before else None
            if waiting is not None:
                moved.setdefault(known.runs_in, []).append(waiting)
        for service_class, entering in moved.items():
            self._caught_up(service_class).merge(entering)

    def _set_weights(self, event: SetWeights) -> Answer:
        problem = weights_problem(event.weights)
        if problem:
            return _refused(Refusal.INVALID, problem)
        if event.weights == self._weights:
            return _UNCHANGED, ()
        self._weights = dict(event.weights)
        self._notes.append(Note(self._now_s, "", f"weights of the classes changed: {event.why}"))
        return _APPLIED, (WeightsChanged(dict(event.weights), event.why),)

    def _class_of(self, job: Job) -> ServiceClass:
        return above(job.service_class) if job.service in self._raises else job.service_class

    def _queue(self, known: Known) -> None:
        self._order += 1
        if known.deadline_s < self._now_s:
            known.deadline_s = self._now_s + known.job.within_s
        self._caught_up(known.runs_in).add(Waiting(known.job, known.deadline_s, self._now_s, self._order))

    def _caught_up(self, service_class: ServiceClass) -> ClassQueue:
        """A class's queue; a class that had nothing to do begins where the others are."""
        queue = self._queues[service_class]
        if not queue:
            queue.tag = max(queue.tag, self._virtual)
        return queue


def _refused(why: Refusal, message: str) -> Answer:
    return Outcome(OutcomeKind.REFUSED, message, why), ()
