"""What an operational level agreement says. Shares are whole parts per billion and times whole milliseconds or seconds,
so that the same file is the same bytes, the same hash and the same arithmetic everywhere.
"""

from __future__ import annotations

from enum import IntEnum
from fractions import Fraction
from typing import Final, TypeAlias

from weftmesh.core.records import record

WHOLE_PPB: Final = 1_000_000_000
"""All of something, in parts per billion."""
DAY_MINUTES: Final = 24 * 60


class ServiceClass(IntEnum):
    """What comes first when there is not enough for all. Numbers are written to disk."""

    CRITICAL = 1
    NORMAL = 2
    BATCH = 3


class RouteMode(IntEnum):
    """How far the router goes by itself. Numbers are written to disk."""

    OBSERVE = 1
    """It measures."""
    SUGGEST = 2
    """It also says what it would change."""
    ACT = 3
    """It changes weights."""


class ProbeKind(IntEnum):
    """How an endpoint is asked. Numbers are written to disk."""

    ICMP = 1
    TCP = 2
    HTTP = 3
    GRPC = 4


@record(frozen=True, slots=True)
class Uptime:
    """At least so many of all events, requests and probes, are answered without an error."""

    target_ppb: int

    @property
    def key(self) -> str:
        """Its name within the agreement."""
        return "uptime"


@record(frozen=True, slots=True)
class ResponseTime:
    """At least so many of the answered events take no longer than the threshold."""

    target_ppb: int
    """The percentile: 990,000,000 is the 99th."""
    threshold_us: int

    @property
    def key(self) -> str:
        """Its name within the agreement."""
        return f"response-time-p{_percent(self.target_ppb)}"


@record(frozen=True, slots=True)
class PacketLoss:
    """At most so many of the packets that were sent get lost."""

    limit_ppb: int

    @property
    def target_ppb(self) -> int:
        """At least so many arrive."""
        return WHOLE_PPB - self.limit_ppb

    @property
    def key(self) -> str:
        """Its name within the agreement."""
        return "packet-loss"


@record(frozen=True, slots=True)
class Throughput:
    """In at least so many parts of time, as many requests as promised are answered, or all that were asked."""

    target_ppb: int
    at_least: int
    """Requests in a part."""
    part_ms: int

    @property
    def key(self) -> str:
        """Its name within the agreement."""
        return "throughput"


Objective: TypeAlias = Uptime | ResponseTime | PacketLoss | Throughput
"""Each counts events, of which so many have to be good: `target_ppb`. At most one of an agreement has the same key."""


@record(frozen=True, slots=True)
class OpenHours:
    """Some days of the week, from a minute of the local day to another one, which may be 1440 and is not included."""

    days: tuple[int, ...]
    """0 is Monday."""
    from_minute: int
    to_minute: int


@record(frozen=True, slots=True)
class Hours:
    """When an agreement holds; no open hours at all: always."""

    timezone: str = "UTC"
    """Of the IANA database."""
    weekly: tuple[OpenHours, ...] = ()


@record(frozen=True, slots=True)
class Exclusion:
    """A time that does not count, once or again and again."""

    reason: str
    starts_at: str
    """Local time, as in 2026-11-22T02:00:00; of a rule, the moment from which it holds."""
    duration_s: int
    timezone: str = "UTC"
    rrule: str = ""
    """RFC 5545, without its name: FREQ=WEEKLY;BYDAY=SU. Empty: once."""
    author: str = ""


@record(frozen=True, slots=True)
class Dependency:
    """What this service needs to be good."""

    any_of: tuple[str, ...]
    """Names of agreements, of which one is enough; a single one is in series."""
    hard: bool = True
    """Without a soft one the service is good nevertheless."""
    cached_ppb: int = 0
    """So many of the requests do not need it."""


@record(frozen=True, slots=True)
class Probe:
    """How every endpoint is asked."""

    kind: ProbeKind
    every_ms: int
    timeout_ms: int
    path: str = ""
    """Of HTTP: the path; of gRPC: the name that its health service is asked for."""
    tls: bool = False


@record(frozen=True, slots=True)
class Endpoint:
    """One server of the service."""

    name: str
    address: str
    """Host and port."""
    capacity: int = 1
    """Requests that it works on at a time."""
    zone: str = ""
    node: str = ""
    """The node of the mesh that it runs on, if any."""


@record(frozen=True, slots=True)
class RouteSettings:
    """How the service is routed."""

    mode: RouteMode = RouteMode.OBSERVE
    ejected_percent_max: int = 50


@record(frozen=True, slots=True)
class RaiseClass:
    """Give the service a better class while it burns its budget."""

    to: ServiceClass


@record(frozen=True, slots=True)
class OpenTask:
    """Open a task on the board, and close it with the evidence when the breach is over."""

    project: str
    title: str


BreachAction: TypeAlias = RaiseClass | OpenTask


@record(frozen=True, slots=True)
class Agreement:
    """What one team owes another about one service.

    Attributes:
        name: unique in the mesh.
        provider: who owes.
        consumer: whom.
        service: the route's name.
        objectives: at least one; keys differ.
        window_s: over which objectives are judged.
        service_class: what comes first.
        hours: when it holds.
        probes: how endpoints are asked.
        endpoints: of the service.
        depends_on: what it needs.
        route: how it is routed.
        on_breach: what happens when it burns its budget.
        exclusions: what does not count.
        review: the day on which people look at it again, as in 2027-03-01; empty for none.
        labels: pairs, sorted by name.
    """

    name: str
    provider: str
    consumer: str
    service: str
    objectives: tuple[Objective, ...]
    window_s: int
    service_class: ServiceClass = ServiceClass.NORMAL
    hours: Hours = Hours()
    probes: tuple[Probe, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    depends_on: tuple[Dependency, ...] = ()
    route: RouteSettings = RouteSettings()
    on_breach: tuple[BreachAction, ...] = ()
    exclusions: tuple[Exclusion, ...] = ()
    review: str = ""
    labels: tuple[tuple[str, str], ...] = ()

    def objective(self, key: str) -> Objective | None:
        """The objective of that key."""
        return next((one for one in self.objectives if one.key == key), None)


def _percent(share_ppb: int) -> str:
    """Without needless digits: 99, 99.9."""
    percent = Fraction(share_ppb * 100, WHOLE_PPB)
    return f"{float(percent):.7f}".rstrip("0").rstrip(".")
