"""A scheduler driven without a gap: every turn takes as long as its job says, and time is what turns took."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from weftmesh.core.ola.model import ServiceClass
from weftmesh.core.schedule.events import Effect, Next, Outcome, Ran, Run, Submit
from weftmesh.core.schedule.machine import Scheduler
from weftmesh.core.schedule.model import Job, Settings, State

CRITICAL, NORMAL, BATCH = ServiceClass


@dataclass
class Simulated:
    """Runs turns; remembers who got them and how long each class ran."""

    settings: Settings = field(default_factory=Settings)
    now_s: float = 0.0
    runs: list[Run] = field(default_factory=list)
    ran_s: dict[ServiceClass, float] = field(default_factory=lambda: defaultdict(float))

    def __post_init__(self) -> None:
        self.machine = Scheduler(self.settings)
        self._next_id = 0

    def submit(self, service_class: ServiceClass, deadline_s: float = 1.0, service: str = "") -> Job:
        """Submit a job whose deadline is so far from now."""
        self._next_id += 1
        job = Job(self._next_id, f"{service_class.name}-{self._next_id}", service_class, deadline_s, service)
        assert self.machine.apply(Submit(job), self.now_s)[0].kind == "applied"
        return job

    def turn(self, ran_s: float = 0.005, then: State = State.READY) -> Run | None:
        """One turn; None when nobody waits."""
        _, effects = self.machine.apply(Next(), self.now_s)
        if not effects:
            return None
        run = effects[0]
        assert isinstance(run, Run)
        self.runs.append(run)
        self.now_s += ran_s
        self.ran_s[run.service_class] += ran_s
        self.ended(run.job, ran_s, then)
        return run

    def ended(self, job: Job, ran_s: float, then: State) -> tuple[Outcome, tuple[Effect, ...]]:
        """A job gives its turn back."""
        return self.machine.apply(Ran(job.id, ran_s, then), self.now_s)
