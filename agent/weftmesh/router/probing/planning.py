"""Which probe comes when: pure, so that it can be tested with any clock."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Iterable, Set
from typing import Final

from weftmesh.core.ola.model import Probe, ProbeKind, ServiceClass
from weftmesh.core.records import record
from weftmesh.core.routing.model import Endpoint
from weftmesh.router.following.wanted import WantedRoute

JITTER: Final = 0.1
"""A period is up to this part of itself longer or shorter, so that nodes do not fall into step."""
RECHECKS: Final = 2
"""After the first miss an endpoint is asked so often again soon: a failure must not wait for three periods."""
RECHECK: Final = 0.2
"""And so much of a period later each time."""
RECHECK_MIN_S: Final = 0.05


@record(frozen=True, slots=True)
class Ask:
    """One endpoint that is to be asked in one way again and again.

    Attributes:
        route: the service.
        endpoint: of it.
        probe: how to ask.
        service_class: of the route.
    """

    route: str
    endpoint: Endpoint
    probe: Probe
    service_class: ServiceClass


class Plan:
    """When each `Ask` is due. Times are seconds in one clock.

    Args:
        rng: for jitter.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._heap: list[tuple[float, int, Ask]] = []
        self._current: dict[Ask, int] = {}
        """The number of the entry in the heap that counts; 0 while the answer is awaited."""
        self._missed: dict[Ask, int] = {}
        self._numbers = itertools.count(1)

    def __len__(self) -> int:
        return len(self._current)

    def change(self, gone: Set[Ask], wanted: Set[Ask], now_s: float) -> None:
        """Ask `wanted` from now on, too, and `gone` no longer; what was asked before goes on in its rhythm."""
        for ask in gone - wanted:
            self._current.pop(ask, None)
            self._missed.pop(ask, None)
        for ask in wanted - self._current.keys():
            self._push(ask, now_s + self._rng.random() * ask.probe.every_ms / 1e3)

    def next_due(self) -> float | None:
        """When `take_due` should be called; None while nothing is to be asked."""
        while self._heap and self._current.get(self._heap[0][2]) != self._heap[0][1]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def take_due(self, now_s: float, limit: int) -> list[Ask]:
        """What is to be asked now, at most `limit`, the oldest first; each comes again after `ended`."""
        found: list[Ask] = []
        while len(found) < limit and (due_s := self.next_due()) is not None and due_s <= now_s:
            _, _, ask = heapq.heappop(self._heap)
            self._current[ask] = 0
            found.append(ask)
        return found

    def ended(self, ask: Ask, ok: bool, asked_s: float, now_s: float) -> None:
        """An answer is there, or none will come: plan the next time.

        Args:
            ask: what was asked.
            ok: whether the endpoint is well.
            asked_s: when it was asked: periods are from one question to the next.
            now_s: the time.
        """
        if ask not in self._current:
            return
        every_s = ask.probe.every_ms / 1e3 * (1.0 + JITTER * (2.0 * self._rng.random() - 1.0))
        missed = self._missed[ask] = 0 if ok else self._missed.get(ask, 0) + 1
        if 0 < missed <= RECHECKS and ask.probe.kind is not ProbeKind.ICMP:
            every_s = min(every_s, max(RECHECK_MIN_S, RECHECK * every_s))
        self._push(ask, max(asked_s + every_s, now_s))

    def _push(self, ask: Ask, at_s: float) -> None:
        number = self._current[ask] = next(self._numbers)
        heapq.heappush(self._heap, (at_s, number, ask))


def asks(routes: Iterable[WantedRoute]) -> set[Ask]:
    """Every endpoint of the routes in every way that is wanted."""
    return {
        Ask(route.name, endpoint, probe, route.service_class)
        for route in routes
        for endpoint in route.endpoints
        for probe in route.probes
    }
