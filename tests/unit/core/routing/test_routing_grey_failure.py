"""One hour of a grey failure: an endpoint spoils some requests, on and off, and answers its probes all along."""

import random

import pytest
from tests.unit.core.routing.routes import Table, endpoints, rng

from weftmesh.core.routing.choosing import Chooser
from weftmesh.core.routing.feedback import EndpointFeedback, Load
from weftmesh.core.routing.model import Settings

HOUR_S = 3600
REQUESTS_A_SECOND = 10
TURN_MIN = 0.01


class Hour:
    """Four endpoints; the first spoils a share of its requests, on and off for 5 to 60 s at a time."""

    def __init__(self, seed: int, share: float, by_weight: bool = False) -> None:
        self.draw, self.share, self.by_weight = random.Random(seed), share, by_weight
        self.table = Table(4, settings=Settings())
        self.endpoints = [EndpointFeedback(one, 0.0) for one in endpoints(4)]
        self.chooser = Chooser(self.endpoints, 0.15, rng(seed))
        self.weights: list[list[float]] = []
        self.sent_to_failing = self.sent_while_failing = 0

    def run(self) -> None:
        failing, until_s = False, 0
        for second in range(HOUR_S):
            if second >= until_s:
                failing, until_s = not failing, second + self.draw.randint(5, 60)
            self.second(float(second), failing)

    def pick(self, now_s: float) -> int:
        """As a client that chooses for each request does, or as one that follows weights."""
        if self.by_weight:
            return self.draw.choices(range(4), self.table.weights)[0]
        return self.chooser.choose(now_s)

    def second(self, now_s: float, failing: bool) -> None:
        for one in self.endpoints:
            one.probed(now_s, 0.001, True, Load(self.draw.uniform(0.018, 0.022), 1.0, 4.0))
        for number in range(REQUESTS_A_SECOND):
            at_s = now_s + number / REQUESTS_A_SECOND
            at = self.pick(at_s)
            self.sent_while_failing += failing
            self.sent_to_failing += failing and at == 0
            spoilt = failing and at == 0 and self.draw.random() < self.share
            self.endpoints[at].sent()
            self.endpoints[at].answered(at_s + 0.02, 0.021, not spoilt, None if spoilt else 0.02, None)
        self.table.now_s = now_s + 1.0
        self.table.see(*(one.reading(now_s + 1.0) for one in self.endpoints))
        self.chooser.admit([row.admission for row in self.table.rows.values()])
        self.weights.append(self.table.weights)


def turns(series: list[float]) -> list[int]:
    """When a weight turned round by at least `TURN_MIN`."""
    found, extreme, direction = [], series[0], 0
    for second, value in enumerate(series):
        if (value - extreme) * direction > 0.0:
            extreme = value
        elif abs(value - extreme) >= TURN_MIN:
            if direction:
                found.append(second)
            direction, extreme = (1 if value > extreme else -1), value
    return found


@pytest.mark.parametrize("by_weight", [False, True])
@pytest.mark.parametrize("share", [0.1, 0.4, 1.0])
def test_an_hour_of_grey_failure_makes_no_flap(share: float, by_weight: bool) -> None:
    hour = Hour(7, share, by_weight)
    hour.run()
    assert max(weights[1] for weights in hour.weights) > 0.26
    for at in range(4):
        times = turns([weights[at] for weights in hour.weights])
        assert all(sum(one <= other < one + 60 for other in times) <= 2 for one in times), (at, times)


@pytest.mark.parametrize(("by_weight", "part_max"), [(False, 0.06), (True, 0.2)])
def test_while_it_fails_it_gets_little(by_weight: bool, part_max: float) -> None:
    hour = Hour(8, 0.6, by_weight)
    hour.run()
    assert hour.sent_to_failing < part_max * hour.sent_while_failing
