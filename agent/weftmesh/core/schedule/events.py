"""What a scheduler is told, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeAlias

from weftmesh.core.ola.model import ServiceClass
from weftmesh.core.records import record
from weftmesh.core.schedule.model import Job, State, Turn


@record(frozen=True, slots=True)
class Submit:
    """A job wants its first turn."""

    job: Job


@record(frozen=True, slots=True)
class Next:
    """The loop has time for a turn. Answered by `Run`, or by UNCHANGED when nobody waits or somebody runs."""


@record(frozen=True, slots=True)
class Ran:
    """A job gave its turn back, or ran without one, as a cancelled job does to clean up.

    Attributes:
        job: its id.
        ran_s: for how long it held the loop; its class pays for it.
        then: READY, BLOCKED or ENDED.
    """

    job: int
    ran_s: float
    then: State


@record(frozen=True, slots=True)
class Unblock:
    """What a blocked job waited for is there."""

    job: int


@record(frozen=True, slots=True)
class Burned:
    """How many times as fast as it may a service spends its error budget."""

    service: str
    rate: float


@record(frozen=True, slots=True)
class SetWeights:
    """New weights of the classes, and why."""

    weights: Mapping[ServiceClass, float]
    why: str


@record(frozen=True, slots=True)
class Wake:
    """Time passed: what `next_deadline` asked for."""


Event: TypeAlias = Submit | Next | Ran | Unblock | Burned | SetWeights | Wake


class OutcomeKind(StrEnum):
    """What came of an event."""

    APPLIED = "applied"
    UNCHANGED = "unchanged"
    REFUSED = "refused"


class Refusal(StrEnum):
    """Why an event was refused, for programs."""

    NONE = ""
    NO_SUCH_JOB = "NO_SUCH_JOB"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    WRONG_STATE = "WRONG_STATE"
    INVALID = "INVALID"
    LIMIT_REACHED = "LIMIT_REACHED"


@record(frozen=True, slots=True)
class Outcome:
    """The answer to whoever sent the event; `message` says what, where and what to do."""

    kind: OutcomeKind
    message: str = ""
    refusal: Refusal = Refusal.NONE


@record(frozen=True, slots=True)
class Run:
    """Give this job a turn.

    Attributes:
        job: which.
        service_class: in which it waited.
        waited_s: since it was ready.
        late_s: by how much its deadline is missed; 0 when it is not.
        turn: why it is next.
    """

    job: Job
    service_class: ServiceClass
    waited_s: float
    late_s: float
    turn: Turn


@record(frozen=True, slots=True)
class Overran:
    """A job held the loop for longer than a slice: say its name."""

    job: Job
    ran_s: float


@record(frozen=True, slots=True)
class ServiceRaised:
    """All jobs of a service run one class above their own from now on."""

    service: str
    rate: float
    reason: str


@record(frozen=True, slots=True)
class ServiceLowered:
    """The jobs of a service are back in their own class."""

    service: str
    rate: float
    reason: str


@record(frozen=True, slots=True)
class WeightsChanged:
    """The classes share in another way from now on."""

    weights: Mapping[ServiceClass, float]
    why: str


Effect: TypeAlias = Run | Overran | ServiceRaised | ServiceLowered | WeightsChanged
