"""The simulation is the same each time, serves every request once, and tells a policy nothing early."""

from __future__ import annotations

import random

import pytest
from benchmarks.routing import rtt
from benchmarks.routing.compare import BASELINE, OURS, POLICIES, compare
from benchmarks.routing.engine import Answer, World, run
from benchmarks.routing.families import FAMILIES, make
from benchmarks.routing.intervals import ratio_of_means
from benchmarks.routing.policies.ours import reversals_a_minute
from benchmarks.routing.policies.plain import RoundRobin
from benchmarks.routing.scenario import TIMEOUT_S, WARM_UP_S

SEED = 3


class Noting(RoundRobin):
    """Round robin that keeps what it was told."""

    def __init__(self, endpoints: int, rng: random.Random) -> None:
        super().__init__(endpoints, rng)
        self.answers: list[tuple[float, Answer]] = []
        self.picks = 0

    def pick(self, now_s: float) -> int:
        self.picks += 1
        return super().pick(now_s)

    def answered(self, now_s: float, answer: Answer) -> None:
        super().answered(now_s, answer)
        self.answers.append((now_s, answer))


@pytest.mark.parametrize("family", ["failing", "deploys"])
def test_every_request_ends_once_within_its_time(family: str) -> None:
    scenario = make(family, SEED)
    clients = [Noting(scenario.endpoints, random.Random(at)) for at in range(scenario.clients)]
    result = run(World(scenario), clients)
    answers = [answer for one in clients for _, answer in one.answers]
    assert len(answers) == sum(one.picks for one in clients) == len(scenario.requests.at_s)
    assert all(0.0 < answer.latency_s <= TIMEOUT_S + 1e-9 for answer in answers)
    counted = sum(at_s >= WARM_UP_S for at_s in scenario.requests.at_s)
    assert len(result.latency_s) + result.errors == counted


def test_what_an_endpoint_says_is_at_least_half_a_round_trip_old() -> None:
    scenario = make("antagonist", SEED)
    clients = [Noting(scenario.endpoints, random.Random(at)) for at in range(scenario.clients)]
    run(World(scenario), clients)
    for client, one in enumerate(clients):
        for _, answer in one.answers:
            if answer.server_s is not None:
                rtt_s = scenario.rtt_s[client][answer.endpoint][0]
                assert answer.latency_s - answer.server_s >= rtt_s - 1e-9


def test_a_seed_gives_the_same_figures_each_time_and_another_seed_others() -> None:
    first, again = (compare("failing", SEED, [BASELINE, OURS]) for _ in range(2))
    assert first == again
    assert compare("failing", SEED + 1, [BASELINE]) != {BASELINE: first[BASELINE]}


def test_perfect_knowledge_is_worth_something_and_chance_is_not() -> None:
    figures = compare("failing", SEED, ["random", BASELINE, "oracle"])
    assert figures["oracle"].violations < figures[BASELINE].violations < figures["random"].violations


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_family_can_be_drawn(family: str) -> None:
    if family == "rtt-replay" and not rtt.available():
        pytest.skip("the measured round trips are not part of the repository")
    scenario = make(family, SEED)
    assert len(scenario.requests.at_s) > 1000
    assert all(0.0 <= share <= 1.0 for grid in (*scenario.error, *scenario.hang, *scenario.stall) for share in grid)
    assert all(speed > 0.0 for grid in scenario.speed for speed in grid)


def test_every_policy_is_compared() -> None:
    assert {BASELINE, OURS, "random", "round-robin", "least-request", "prequal", "oracle"} <= set(POLICIES)


def test_reversals_are_counted_within_a_minute_and_small_ones_are_none() -> None:
    flap = [(float(at), [0.5 + 0.1 * (at // 5 % 2)]) for at in range(60)]
    tremble = [(float(at), [0.5 + 0.005 * (at % 2)]) for at in range(60)]
    rise = [(float(at), [at / 60.0]) for at in range(60)]
    assert reversals_a_minute(flap) == 10
    assert reversals_a_minute(tremble) == reversals_a_minute(rise) == reversals_a_minute([]) == 0


def test_an_interval_holds_its_estimate() -> None:
    ratio = ratio_of_means([1.0, 2.0, 3.0, 2.0], [4.0, 4.0, 5.0, 4.0])
    assert ratio.low <= ratio.value <= ratio.high
    assert ratio_of_means([1.0] * 5, [2.0] * 5) == ratio_of_means([3.0] * 5, [6.0] * 5)
