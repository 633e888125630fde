"""Ours: the product's own code (`weftmesh.core.routing`), fed as a node's router would be.

What it may see: latency and outcome of this client's requests; what an endpoint says of itself in each answer (mean
working time of late, requests held, capacity; as it was when the answer was sent); one probe per endpoint and second,
which is answered with the same, and meets the faults of its path, but those of its endpoint only in half of the cases;
the response time that the agreement allows; the capacities that the agreement names. Clients tell one another nothing.
"""

from __future__ import annotations

import math
import random

from benchmarks.routing.engine import Answer, Probed
from weftmesh.core.routing.choosing import Chooser
from weftmesh.core.routing.events import Decided, Observe, SetMode, SetRoute, TableChanged
from weftmesh.core.routing.feedback import EndpointFeedback
from weftmesh.core.routing.model import Endpoint, Mode, Settings
from weftmesh.core.routing.predictor import Predictor
from weftmesh.core.routing.table import RoutingTable

ROUTE = "service"


class Ours:
    """One client's chooser and table.

    Args:
        capacities: of the endpoints.
        rng: this client's own stream.
        threshold_s: of the agreement.
        predicts: whether the predictor may be used.
    """

    probe_s = 1.0
    probes_per_request = 0

    def __init__(self, capacities: list[int], rng: random.Random, threshold_s: float, *, predicts: bool) -> None:
        endpoints = tuple(Endpoint(f"e{at}", "", capacity) for at, capacity in enumerate(capacities))
        self.feedback = [EndpointFeedback(one, 0.0) for one in endpoints]
        self.predictors = [Predictor() for _ in endpoints] if predicts else []
        self.chooser = Chooser(self.feedback, threshold_s, rng)
        self.table = RoutingTable()
        self.history: list[tuple[float, list[float]]] = []
        """(time, weights) of each table that was in force."""
        self.decisions = 0
        self.table.apply(SetRoute(ROUTE, endpoints, Settings(threshold_s=threshold_s)), 0.0)
        self.table.apply(SetMode(ROUTE, Mode.ACT), 0.0)
        self._ticks = 0

    def pick(self, now_s: float) -> int:
        """The chooser's choice."""
        at = self.chooser.choose(now_s)
        self.feedback[at].sent()
        return at

    def answered(self, now_s: float, answer: Answer) -> None:
        """Into the feedback."""
        self.feedback[answer.endpoint].answered(now_s, answer.latency_s, answer.ok, answer.server_s, answer.load)

    def probed(self, now_s: float, probe: Probed) -> None:
        """Into the feedback."""
        self.feedback[probe.endpoint].probed(now_s, probe.rtt_s, probe.ok, probe.load)

    def targets(self) -> list[int]:
        """It probes regularly, not with requests."""
        return []

    def tick(self, now_s: float) -> None:
        """Predict twice a second, evaluate the table every second."""
        for one, predictor in zip(self.feedback, self.predictors, strict=False):
            one.outlook = math.exp(predictor.observe(now_s, math.log(one.service_s)))
        self._ticks += 1
        if self._ticks % 2:
            return
        readings = tuple(one.reading(now_s) for one in self.feedback)
        for effect in self.table.apply(Observe(ROUTE, readings), now_s)[1]:
            if isinstance(effect, Decided):
                self.decisions += 1
            elif isinstance(effect, TableChanged):
                self.history.append((now_s, [row.weight for row in effect.rows]))
                self.chooser.admit([row.admission for row in effect.rows])


class OursByWeights(Ours):
    """What a client gets that only follows the table's weights, as xDS clients do."""

    def __init__(self, capacities: list[int], rng: random.Random, threshold_s: float) -> None:
        super().__init__(capacities, rng, threshold_s, predicts=False)
        self._rng = rng

    def pick(self, now_s: float) -> int:
        """At random, by weight."""
        del now_s
        weights = [row.weight for row in self.table.rows(ROUTE)]
        at = self._rng.choices(range(len(weights)), weights)[0]
        self.feedback[at].sent()
        return at


def reversals_a_minute(history: list[tuple[float, list[float]]], amplitude: float = 0.01) -> int:
    """The most often that one weight turned round within any 60 s; turns smaller than `amplitude` are none."""
    worst = 0
    for at in range(len(history[0][1]) if history else 0):
        turned: list[float] = []
        extreme, direction = history[0][1][at], 0
        for now_s, weights in history:
            change = weights[at] - extreme
            if direction * change > 0.0:
                extreme = weights[at]
            elif abs(change) >= amplitude:
                if direction:
                    turned.append(now_s)
                direction, extreme = (1 if change > 0.0 else -1), weights[at]
        worst = max(worst, max((sum(one <= t < one + 60.0 for t in turned) for one in turned), default=0))
    return worst
