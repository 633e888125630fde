"""What the router hears of a request or a probe, wherever it hears it from: the one form that all intakes give it."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from weftmesh.core.ola.model import ProbeKind
from weftmesh.core.records import record
from weftmesh.core.routing.feedback import Load


class Source(StrEnum):
    """Where a sample comes from."""

    PROBE = "probe"
    """The router asked the endpoint itself."""
    REPORT = "report"
    """A client or a server said how a request went."""
    LRS = "lrs"
    """An xDS client summed up its requests."""


@record(frozen=True, slots=True)
class Sample:
    """One request or probe that ended, or a sum of several alike ones, as this node's router heard of it.

    Attributes:
        route: the service's name.
        endpoint: its name within the route.
        ended_s: in the loop's monotonic clock.
        wall_ms: when, Unix milliseconds: which window it counts in.
        source: where it comes from.
        ok: False for an error, or no answer in time.
        latency_us: None when nothing came back, or nobody measured.
        server_us: how long the endpoint held it, where it says so.
        load: what the endpoint says of itself, where it does.
        probe: which kind of probe; None for requests.
        sent: packets that were sent or requests that ended.
        answered: how many of them came back, or were answered.
    """

    route: str
    endpoint: str
    ended_s: float
    wall_ms: int
    source: Source
    ok: bool
    latency_us: int | None
    server_us: int | None = None
    load: Load | None = None
    probe: ProbeKind | None = None
    sent: int = 1
    answered: int = 1


class Samples(Protocol):
    """Whoever takes samples in; on the loop, at once, without raising."""

    def take(self, sample: Sample) -> None:
        """Take one in."""
