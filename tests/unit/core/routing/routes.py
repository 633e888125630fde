"""Short ways to say what routing tests are about."""

from __future__ import annotations

import random

from weftmesh.core.routing.events import Decided, Effect, Observe, Outcome, SetMode, SetOverride, SetRoute, Wake
from weftmesh.core.routing.feedback import EndpointFeedback, Load
from weftmesh.core.routing.model import Decision, Endpoint, Mode, Override, OverrideKind, Reading, Row, Settings, Share
from weftmesh.core.routing.table import RoutingTable

ROUTE = "payments"


def endpoints(count: int, capacity: float = 4.0) -> tuple[Endpoint, ...]:
    return tuple(Endpoint(f"e{at}", f"10.0.0.{at}:80", capacity) for at in range(count))


def good(at: int, service_s: float = 0.02, in_flight: float = 1.0) -> Reading:
    return Reading(f"e{at}", service_s, 0.001, 0.0, in_flight, 50.0)


def bad(at: int, lower: float = 0.8, in_flight: float = 1.0) -> Reading:
    return Reading(f"e{at}", 0.02, 0.001, lower, in_flight, 50.0)


def dead(at: int) -> Reading:
    return Reading(f"e{at}", 0.02, 0.001, 0.2, 0.0, 3.0, alive=False)


def feedback(count: int, service_s: float = 0.02, capacity: float = 4.0) -> list[EndpointFeedback]:
    """Endpoints that were heard of a moment ago; the clock stands at 1 s."""
    heard = []
    for one in endpoints(count, capacity):
        known = EndpointFeedback(one, 0.0)
        known.sent()
        known.answered(1.0, service_s + 0.001, True, service_s, Load(service_s, 0.0, capacity))
        heard.append(known)
    return heard


def weighing(*shares: float) -> Override:
    named = tuple(Share(f"e{at}", share) for at, share in enumerate(shares))
    return Override(OverrideKind.WEIGH, "", "ops", "canary", named)


class Table:
    """A routing table with one route and a clock."""

    def __init__(self, count: int = 4, mode: Mode = Mode.ACT, settings: Settings | None = None) -> None:
        self.machine = RoutingTable()
        self.now_s = 0.0
        self.log: list[Decision] = []
        self.settings = settings or Settings()
        self.send(SetRoute(ROUTE, endpoints(count), self.settings))
        self.send(SetMode(ROUTE, mode))

    def send(self, event: object) -> tuple[Outcome, tuple[Effect, ...]]:
        outcome, effects = self.machine.apply(event, self.now_s)  # type: ignore[arg-type]
        self.log += [one.decision for one in effects if isinstance(one, Decided)]
        self.machine.check()
        return outcome, effects

    def see(self, *readings: Reading) -> tuple[Outcome, tuple[Effect, ...]]:
        return self.send(Observe(ROUTE, readings))

    def order(self, kind: OverrideKind, endpoint: str = "") -> Outcome:
        return self.send(SetOverride(ROUTE, Override(kind, endpoint, "ops", "maintenance")))[0]

    def weigh(self, *shares: float) -> Outcome:
        """Order a share of each endpoint, in their order."""
        return self.send(SetOverride(ROUTE, weighing(*shares)))[0]

    def run(self, seconds: float) -> list[list[float]]:
        """Wake the machine whenever it asks for it; the weights after each time."""
        end_s, seen = self.now_s + seconds, [self.weights]
        while (due_s := self.machine.next_deadline()) is not None and due_s <= end_s:
            self.now_s = max(self.now_s, due_s)
            self.send(Wake())
            seen.append(self.weights)
        self.now_s = end_s
        return seen

    @property
    def rows(self) -> dict[str, Row]:
        return {row.endpoint: row for row in self.machine.rows(ROUTE)}

    @property
    def weights(self) -> list[float]:
        return [row.weight for row in self.machine.rows(ROUTE)]


def rng(seed: int = 1) -> random.Random:
    return random.Random(seed)
