"""The jobs of one class that wait for a turn: earliest deadline first, and every second turn for whoever is too old."""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from weftmesh.core.ola.model import ServiceClass
from weftmesh.core.schedule.model import Job, State, Turn


@dataclass(slots=True)
class Waiting:
    """A job in a queue; `order` is that in which jobs became ready, and settles equal deadlines."""

    job: Job
    deadline_s: float
    since_s: float
    order: int


@dataclass(slots=True)
class Known:
    """A job that has not ended; `runs_in` is above its own class while its service is raised."""

    job: Job
    state: State
    runs_in: ServiceClass
    deadline_s: float


class ClassQueue:
    """Who of one class is next.

    Attributes:
        tag: the class's virtual time: how long it ran, divided by its weight (start-time fair queueing: P. Goyal,
            H. Vin, H. Cheng, 1996).
    """

    def __init__(self) -> None:
        self.tag = 0.0
        self._by_age: OrderedDict[int, Waiting] = OrderedDict()
        self._by_deadline: list[tuple[float, int, int]] = []
        """Deadline, order, job. What is no longer in `_by_age` under this order is skipped."""
        self._aged_before = False

    def __len__(self) -> int:
        return len(self._by_age)

    def __contains__(self, job: int) -> bool:
        return job in self._by_age

    def add(self, waiting: Waiting) -> None:
        """Queue a job that became ready after all that are queued."""
        self._by_age[waiting.job.id] = waiting
        heapq.heappush(self._by_deadline, (waiting.deadline_s, waiting.order, waiting.job.id))

    def merge(self, others: Iterable[Waiting]) -> None:
        """Queue jobs that come from another class, each at its age."""
        merged = sorted([*self._by_age.values(), *others], key=lambda one: one.order)
        self._by_age = OrderedDict((one.job.id, one) for one in merged)
        self._rebuild()

    def remove(self, job: int) -> Waiting | None:
        """Take a job out that will not get its turn here."""
        waiting = self._by_age.pop(job, None)
        if len(self._by_deadline) > 2 * len(self._by_age) + 64:
            self._rebuild()
        return waiting

    def waiting(self) -> tuple[Waiting, ...]:
        """All of them, the oldest first."""
        return tuple(self._by_age.values())

    def take(self, now_s: float, patience_s: float) -> tuple[Waiting, Turn]:
        """Take out whose turn it is; there must be somebody."""
        oldest = next(iter(self._by_age.values()))
        self._aged_before = not self._aged_before and now_s - oldest.since_s > patience_s
        if self._aged_before:
            self.remove(oldest.job.id)
            return oldest, Turn.AGE
        while True:
            _, order, job = heapq.heappop(self._by_deadline)
            waiting = self._by_age.get(job)
            if waiting is not None and waiting.order == order:
                del self._by_age[job]
                return waiting, Turn.DEADLINE

    def _rebuild(self) -> None:
        self._by_deadline = [(one.deadline_s, one.order, one.job.id) for one in self._by_age.values()]
        heapq.heapify(self._by_deadline)
