"""Agreements, and tables with a clock that stands still until it is told."""

from __future__ import annotations

import random

from weftmesh.core.ola.model import (
    Agreement,
    Endpoint,
    Probe,
    ProbeKind,
    ResponseTime,
    RouteMode,
    RouteSettings,
    ServiceClass,
)
from weftmesh.core.ola.replicated.rows import EndpointWeight, Override, OverrideKind, SlowWeights
from weftmesh.core.routing.model import Decision
from weftmesh.router.clock import Clock
from weftmesh.router.following.agreements import Followed, Order
from weftmesh.router.following.wanted import WantedRoute, wanted_routes
from weftmesh.router.routes.tables import Tables
from weftmesh.router.samples import Sample, Source


def agreement(
    name: str = "pay-api",
    *,
    service: str = "pay",
    endpoints: int = 3,
    mode: RouteMode = RouteMode.ACT,
    service_class: ServiceClass = ServiceClass.NORMAL,
    threshold_us: int = 60_000,
    probes: tuple[Probe, ...] = (Probe(ProbeKind.HTTP, 1_000, 300, "/healthz"),),
) -> Agreement:
    return Agreement(
        name,
        "team-a",
        "team-b",
        service,
        (ResponseTime(990_000_000, threshold_us),),
        86_400,
        service_class=service_class,
        probes=probes,
        endpoints=tuple(Endpoint(f"e{at}", f"127.0.0.1:{8_000 + at}", 4) for at in range(endpoints)),
        route=RouteSettings(mode, 50),
    )


def followed(one: Agreement, raised_to: ServiceClass | None = None) -> Followed:
    return Followed(one, 1, raised_to or one.service_class)


def order(kind: OverrideKind, endpoint: str = "", route: str = "pay", stamp: int = 1, mode: int = 1) -> Override:
    return Override(route, kind, endpoint, RouteMode(mode), "a test", "ann@node1", stamp)


def weighing(*percents: int, route: str = "pay", stamp: int = 1) -> SlowWeights:
    """An order for a share of each endpoint, in their order; without any, one that was taken back."""
    weights = tuple(EndpointWeight(f"e{at}", one * 10_000_000) for at, one in enumerate(percents))
    return SlowWeights(route, 1, weights, "canary", b"", "ann@node1", stamp)


def wanted(*agreements: Agreement, orders: tuple[Order, ...] = ()) -> dict[str, WantedRoute]:
    return wanted_routes([followed(one) for one in agreements], orders)


class HandClock(Clock):
    """Moves when it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 1_000.0

    def monotonic_s(self) -> float:
        return self.now_s

    def table_s(self) -> float:
        return self.now_s + 1e9

    def wall_ms(self) -> int:
        return int(self.table_s() * 1e3)


class Kept:
    """Decisions, in memory."""

    def __init__(self) -> None:
        self.decisions: list[Decision] = []

    def append(self, decision: Decision) -> None:
        self.decisions.append(decision)


class Bench:
    """Tables with their clock and decisions."""

    def __init__(self, *agreements: Agreement, orders: tuple[Order, ...] = ()) -> None:
        self.clock = HandClock()
        self.log = Kept()
        self.tables = Tables(self.clock, random.Random(1), self.log)
        self.want(*agreements, orders=orders)

    def want(self, *agreements: Agreement, orders: tuple[Order, ...] = ()) -> None:
        self.tables.want(wanted(*agreements, orders=orders))

    def pass_time(self, seconds: float) -> None:
        """In steps of half a second, as the process does."""
        for _ in range(int(seconds * 2)):
            self.clock.now_s += 0.5
            for route in self.tables.due():
                self.tables.evaluate(route)

    def probe(self, endpoint: str, ok: bool = True, kind: ProbeKind = ProbeKind.HTTP) -> None:
        latency_us = 2_000 if ok else None
        self.tables.take(self.sample(endpoint, Source.PROBE, ok, latency_us, kind))

    def report(self, endpoint: str, ok: bool = True, latency_us: int | None = 20_000) -> None:
        live = self.tables.live("pay")
        assert live is not None
        live.sent(endpoint)
        self.tables.take(self.sample(endpoint, Source.REPORT, ok, latency_us))

    def weights(self, route: str = "pay") -> list[float]:
        return [round(row.weight, 6) for row in self.tables.rows(route)]

    def sample(
        self, endpoint: str, source: Source, ok: bool, latency_us: int | None, kind: ProbeKind | None = None
    ) -> Sample:
        return Sample("pay", endpoint, self.clock.now_s, self.clock.wall_ms(), source, ok, latency_us, probe=kind)
