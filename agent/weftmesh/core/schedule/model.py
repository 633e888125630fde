"""The words of scheduling: jobs, their classes' weights and patience, and when a service is raised."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.ola.model import ServiceClass
from weftmesh.core.records import record

SLICE_S: Final = 0.005
"""The longest a job may run until it gives its turn back."""
WEIGHTS: Final[Mapping[ServiceClass, float]] = MappingProxyType(
    {ServiceClass.CRITICAL: 8.0, ServiceClass.NORMAL: 3.0, ServiceClass.BATCH: 1.0}
)
PATIENCE_S: Final[Mapping[ServiceClass, float]] = MappingProxyType(
    {ServiceClass.CRITICAL: 0.05, ServiceClass.NORMAL: 0.5, ServiceClass.BATCH: 2.0}
)


class State(StrEnum):
    """What a job is doing."""

    READY = "ready"
    """It waits for a turn."""
    RUNNING = "running"
    BLOCKED = "blocked"
    """It waits for something else, as an answer from the network."""
    ENDED = "ended"


class Turn(StrEnum):
    """Why a job was the next of its class."""

    DEADLINE = "deadline"
    """Its deadline is the earliest."""
    AGE = "age"
    """It waited for longer than its class's patience."""


@record(frozen=True, slots=True)
class Job:
    """Something to be run in slices.

    Attributes:
        id: its own among the jobs that have not ended.
        name: for people.
        service_class: of its own; a service that burns its budget runs one class above.
        within_s: its deadline is so long after it was submitted. A job that becomes ready past its deadline, because it
            has not ended by then, gets a new one so long from there: an old one would put it before all others.
        service: whose budget moves it; empty: nobody's.
    """

    id: int
    name: str
    service_class: ServiceClass
    within_s: float
    service: str = ""


@record(frozen=True, slots=True)
class Settings:
    """How turns are given.

    Attributes:
        weights: each class's part of the time while all classes have something to do.
        patience_s: who waited for longer gets every second turn of its class, the oldest first.
        slice_s: who runs for longer is reported.
        jobs_max: more are refused.
        raise_at: a service that spends its error budget so many times as fast as it may goes one class up.
        lower_below: it comes down again when the rate has stayed below this
        hold_s: for so long,
        silence_s: or when nobody has told a rate for so long.
        raised_max: services that are up at the same time; if all were, none would be.

    Raises:
        InvalidInputError: (by `checked`) a number is out of range.
    """

    weights: Mapping[ServiceClass, float] = field(default_factory=lambda: WEIGHTS)
    patience_s: Mapping[ServiceClass, float] = field(default_factory=lambda: PATIENCE_S)
    slice_s: float = SLICE_S
    jobs_max: int = 10_000
    raise_at: float = 2.0
    lower_below: float = 1.0
    hold_s: float = 300.0
    silence_s: float = 900.0
    raised_max: int = 32

    def checked(self) -> Settings:
        """Return these settings if they can be used.

        Raises:
            InvalidInputError: a number is out of range; the message says which.
        """
        problem = weights_problem(self.weights)
        if not problem and not all(self.patience_s.get(one, 0.0) > 0.0 for one in ServiceClass):
            problem = "patience_s: give each class more than 0 seconds"
        if not problem and not (
            self.slice_s > 0.0 and self.jobs_max > 0 and self.hold_s > 0.0 and self.silence_s > 0.0
        ):
            problem = "slice_s, jobs_max, hold_s and silence_s must be above 0"
        if not problem and not 0.0 <= self.lower_below < self.raise_at:
            problem = f"lower_below {self.lower_below} must be below raise_at {self.raise_at}, or classes would flap"
        if problem:
            raise InvalidInputError(f"schedule: {problem}")
        return self


def weights_problem(weights: Mapping[ServiceClass, float]) -> str:
    """Why weights cannot be used; empty when they can."""
    if set(weights) != set(ServiceClass):
        return "weights: give one for each of critical, normal and batch"
    wrong = next((one for one, weight in weights.items() if not 0.0 < weight < math.inf), None)
    return "" if wrong is None else f"weights: that of {wrong.name.lower()} is {weights[wrong]}, give one above 0"
