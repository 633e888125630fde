"""Decisions of a real table about two endpoints, one of which fails."""

from __future__ import annotations

from weftmesh.core.routing.events import Decided, Event, Observe, SetMode, SetRoute, Wake
from weftmesh.core.routing.model import Decision, Endpoint, Mode, Reading
from weftmesh.core.routing.table import RoutingTable


def decisions(route: str = "pay", *, mode: Mode = Mode.ACT, seconds: int = 30) -> list[Decision]:
    """What a table decides while one of two endpoints fails for a while."""
    table = RoutingTable()
    events: list[Event] = [
        SetRoute(route, (Endpoint("a", "127.0.0.1:1"), Endpoint("b", "127.0.0.1:2"))),
        SetMode(route, mode),
    ]
    for second in range(seconds):
        bad = 0.9 if 5 <= second < 15 else 0.0
        events += [Observe(route, (Reading("a", 0.02, 0.001, 0.0, 0.1, 9.0), Reading("b", 0.06, 0.001, bad, 0.1, 9.0)))]
        events += [Wake()]
    return [
        effect.decision
        for at, event in enumerate(events)
        for effect in table.apply(event, 1_800_000_000.0 + at / 2)[1]
        if isinstance(effect, Decided)
    ]
