"""The words of routing: endpoints, readings, rows of a table, overrides, and the limits that every change keeps."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.records import record

ENDPOINTS_MAX: Final = 10_000
"""Of one route."""
NEVER_S: Final = -1e12
"""A time before all others; finite, so that it can be written as JSON."""


class Mode(StrEnum):
    """What becomes of the table's decisions."""

    OBSERVE = "observe"
    """They are recorded."""
    SUGGEST = "suggest"
    """They are recorded and shown to whoever watches."""
    ACT = "act"
    """They take effect."""


class OverrideKind(StrEnum):
    """What an operator may order."""

    DRAIN = "drain"
    """No new requests for an endpoint, in bounded steps."""
    PIN = "pin"
    """All requests for an endpoint, in bounded steps."""
    WEIGH = "weigh"
    """Each endpoint gets its ordered share, in bounded steps; the others get that of one that is drained or ejected."""
    FREEZE = "freeze"
    """No weight of the route changes, whatever happens."""


class Condition(StrEnum):
    """What the table thinks of an endpoint."""

    ACTIVE = "active"
    EJECTED = "ejected"
    RETURNING = "returning"
    """Was ejected or is new: its share grows over `Settings.slow_start_s`."""


class Reason(StrEnum):
    """Why a weight is what it is, for programs; `Row.detail` says it for people."""

    SHARE = "share"
    """Its part of what all endpoints can serve."""
    ERRORS = "errors"
    """Too many requests over this path ended badly."""
    DEAD = "dead"
    """Its probes are not answered."""
    SLOW_START = "slow-start"
    CAPACITY = "capacity"
    """It would be ejected, but what remains could not carry the load."""
    EJECTION_LIMIT = "ejection-limit"
    """It would be ejected, but as many as may be are ejected already, or it is the last one."""
    DRAINED = "drained"
    PINNED = "pinned"
    WEIGHED = "weighed"
    """It goes to the share that an operator ordered."""
    HELD = "held"
    """It should turn round, and did so or moved too recently (`Settings.turn_s`, `Settings.hold_down_s`)."""


@record(frozen=True, slots=True)
class Endpoint:
    """One place where a service runs; `capacity` is how many requests it works on at once."""

    name: str
    address: str
    capacity: float = 1.0
    zone: str = ""


@record(frozen=True, slots=True)
class Reading:
    """What an endpoint looked like from this node when a decision was taken; all of it goes to the decision log.

    Attributes:
        endpoint: its name.
        service_s: slow mean of the time that it works on one request.
        rtt_s: of the path.
        bad_lower: lower confidence bound of the share of requests that the path or the endpoint spoils, 0 to 1.
        in_flight: mean number of requests, of everybody, that it held of late.
        samples: how many requests stand behind `bad_lower`, old ones counting less.
        alive: whether it answers probes.
    """

    endpoint: str
    service_s: float
    rtt_s: float
    bad_lower: float = 0.0
    in_flight: float = 0.0
    samples: float = 0.0
    alive: bool = True


@record(frozen=True, slots=True)
class Share:
    """What an endpoint is to get of a route's requests, 0 to 1."""

    endpoint: str
    share: float


@record(frozen=True, slots=True)
class Override:
    """An operator's order.

    Attributes:
        kind: what is ordered.
        endpoint: whose; empty for what is of the route: a freeze, and shares.
        actor: who gave it.
        why: for people.
        shares: of endpoints, for `OverrideKind.WEIGH` alone; who is not named gets nothing.
    """

    kind: OverrideKind
    endpoint: str
    actor: str
    why: str
    shares: tuple[Share, ...] = ()


@record(frozen=True, slots=True)
class Row:
    """One endpoint's line in a table; the weights of a table sum to 1. Times are in the clock of the events.

    Attributes:
        endpoint: its name.
        weight: 0 to 1: the share of requests that clients which follow weights send there.
        target: where the weight is going.
        admission: 0 to 1, for clients that choose per request: 0 is closed, less than 1 is being warmed up or emptied.
        condition: what the table thinks of it.
        reason: why, for programs.
        detail: why, for people.
        since_s: when the condition began.
        until_s: when an ejection may end at the earliest.
        ejections: how often it was ejected of late.
        direction: which way the weight moved last: -1, 0 or 1.
        moved_s: when.
        turned_s: when the direction changed last.
    """

    endpoint: str
    weight: float
    target: float
    admission: float = 1.0
    condition: Condition = Condition.ACTIVE
    reason: Reason = Reason.SHARE
    detail: str = ""
    since_s: float = 0.0
    until_s: float = 0.0
    ejections: int = 0
    direction: int = 0
    moved_s: float = NEVER_S
    turned_s: float = NEVER_S


@record(frozen=True, slots=True)
class Settings:
    """How a table decides. The defaults are those that the simulation was run with.

    Attributes:
        threshold_s: the response time that the agreement allows; what is slower breaks it.
        max_ejection_percent: of a route's endpoints; one may always be ejected where two are.
        eject_bad_lower: an endpoint is ejected when surely more than this share of its requests goes bad.
        ejection_s: how long at least the first time; each time soon after takes as much longer.
        fill_max: ejections leave room: the load stays below this part of the remaining capacity.
        slow_start_s: how long an endpoint takes from a tenth of its share to all of it.
        trickle: the least share of an endpoint that is not ejected, so that its recovery is noticed.
        step_max: the most that a weight moves in one evaluation, unless an endpoint is ejected.
        dead_band: weights that are off by less than this part of themselves stay.
        hold_down_s: a weight that moved one way moves the other way only so much later.
        turn_s: and it turns round once in this time, so that an ejection is the second time at most.
        evaluation_s: between two evaluations while weights are under way.
    """

    threshold_s: float = 0.15
    max_ejection_percent: float = 50.0
    eject_bad_lower: float = 0.4
    ejection_s: float = 10.0
    fill_max: float = 0.8
    slow_start_s: float = 10.0
    trickle: float = 0.01
    step_max: float = 0.1
    dead_band: float = 0.15
    hold_down_s: float = 20.0
    turn_s: float = 60.0
    evaluation_s: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what no table can keep."""
        _check_range("threshold_s", self.threshold_s, 1e-6, 3600.0)
        _check_range("max_ejection_percent", self.max_ejection_percent, 0.0, 100.0)
        _check_range("eject_bad_lower", self.eject_bad_lower, 0.0, 1.0)
        _check_range("ejection_s", self.ejection_s, 1.0, 86_400.0)
        _check_range("fill_max", self.fill_max, 0.01, 1.0)
        _check_range("slow_start_s", self.slow_start_s, 0.0, 3600.0)
        _check_range("trickle", self.trickle, 0.0, 0.1)
        _check_range("step_max", self.step_max, 0.001, 1.0)
        _check_range("dead_band", self.dead_band, 0.0, 1.0)
        _check_range("hold_down_s", self.hold_down_s, 0.0, 3600.0)
        _check_range("turn_s", self.turn_s, 0.0, 3600.0)
        _check_range("evaluation_s", self.evaluation_s, 0.01, 3600.0)


def _check_range(field: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise InvalidInputError(
            f"routing settings, {field}: {value} is not between {low} and {high}; choose a value in that range",
            metadata={"field": field},
        )


@record(frozen=True, slots=True)
class Inputs:
    """All that a decision is computed from, beside the table before it.

    Attributes:
        route: whose table.
        time_s: when.
        mode: what becomes of the decision.
        settings: of the route.
        endpoints: of the route, in the order of the table's rows.
        overrides: of operators.
        readings: the latest of each endpoint; one that was never read is missing.
    """

    route: str
    time_s: float
    mode: Mode
    settings: Settings
    endpoints: tuple[Endpoint, ...]
    overrides: tuple[Override, ...]
    readings: tuple[Reading, ...]

    @property
    def frozen(self) -> bool:
        """Whether an operator froze the route."""
        return any(one.kind is OverrideKind.FREEZE for one in self.overrides)

    @property
    def takes_effect(self) -> bool:
        """Whether the decision changes the table."""
        return self.mode is Mode.ACT and not self.frozen


@record(frozen=True, slots=True)
class Decision:
    """One evaluation that changed something or would have: enough to take it again.

    Attributes:
        number: from 1, without gaps, for each route.
        inputs: what it was computed from.
        before: the table in force before.
        after: the table that it computed; in force since where `inputs.takes_effect`.
    """

    number: int
    inputs: Inputs
    before: tuple[Row, ...]
    after: tuple[Row, ...]
