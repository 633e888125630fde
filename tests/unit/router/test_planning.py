"""When probes come: regularly, never in step, and soon after a first miss."""

from __future__ import annotations

import random
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.router.agreed_routes import agreement, wanted

from weftmesh.core.ola.model import Probe, ProbeKind
from weftmesh.router.probing.planning import JITTER, RECHECKS, Ask, Plan, asks


def everything(endpoints: int = 3, kind: ProbeKind = ProbeKind.HTTP) -> set[Ask]:
    probe = Probe(kind, 1_000, 300, "/healthz")
    return asks(wanted(agreement(endpoints=endpoints, probes=(probe,))).values())


def run(plan: Plan, until_s: float, ok: bool = True) -> list[tuple[float, Ask]]:
    found = []
    while (due_s := plan.next_due()) is not None and due_s < until_s:
        for ask in plan.take_due(due_s, 100):
            found.append((due_s, ask))
            plan.ended(ask, ok, due_s, due_s + 0.01)
    return found


@given(st.integers(0, 2**32))
def test_each_endpoint_is_asked_once_a_period(seed: int) -> None:
    plan = Plan(random.Random(seed))
    plan.change(set(), everything(), 0.0)
    asked = run(plan, 30.0)
    for ask in everything():
        times = [at_s for at_s, one in asked if one == ask]
        assert times[0] <= 1.0
        assert all(1.0 - JITTER <= later - earlier <= 1.0 + JITTER for earlier, later in pairwise(times))


def test_endpoints_are_not_asked_all_at_once() -> None:
    plan = Plan(random.Random(1))
    plan.change(set(), everything(100), 0.0)
    assert max(len(plan.take_due(at_s / 10, 1_000)) for at_s in range(10)) < 40


def test_a_miss_is_checked_soon_twice_and_then_as_usual() -> None:
    plan = Plan(random.Random(1))
    plan.change(set(), everything(1), 0.0)
    times = [at_s for at_s, _ in run(plan, 10.0, ok=False)]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert all(gap < 0.3 for gap in gaps[:RECHECKS])
    assert all(gap > 0.8 for gap in gaps[RECHECKS:])


def test_pings_are_not_checked_again_since_packets_may_get_lost() -> None:
    plan = Plan(random.Random(1))
    plan.change(set(), everything(1, ProbeKind.ICMP), 0.0)
    times = [at_s for at_s, _ in run(plan, 10.0, ok=False)]
    assert all(later - earlier > 0.8 for earlier, later in pairwise(times))


def test_what_is_not_wanted_any_more_is_not_asked_even_if_an_answer_comes_late() -> None:
    plan = Plan(random.Random(1))
    plan.change(set(), everything(2), 0.0)
    taken = plan.take_due(1.0, 1)
    plan.change(everything(2), everything(1), 1.0)
    for ask in taken:
        plan.ended(ask, True, 1.0, 1.1)
    assert {one.endpoint.name for _, one in run(plan, 5.0)} <= {"e0"}
    assert len(plan) == 1


def test_one_that_waits_for_its_answer_is_not_asked_again() -> None:
    plan = Plan(random.Random(1))
    plan.change(set(), everything(1), 0.0)
    assert len(plan.take_due(1.0, 10)) == 1
    plan.change(everything(1), everything(1), 1.0)
    assert plan.take_due(100.0, 10) == []


def test_what_there_is_no_room_for_waits() -> None:
    plan = Plan(random.Random(1))
    plan.change(set(), everything(5), 0.0)
    assert [len(plan.take_due(1.0, 2)) for _ in range(3)] == [2, 2, 1]
