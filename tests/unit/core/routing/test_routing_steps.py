"""Decisions in short steps: they come to the same as at once, and nobody sees a half of them."""

from __future__ import annotations

import random
import time

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.core.routing.routes import ROUTE, Table, bad, dead, good
from tests.unit.core.routing.test_routing_properties import LOGS

from weftmesh.core.routing.events import Event, Observe, Outcome, OutcomeKind, Refusal, RemoveRoute, SetMode, Wake
from weftmesh.core.routing.model import Inputs, Mode, Reading, Row, Settings
from weftmesh.core.routing.steps import whole
from weftmesh.core.routing.table import RoutingTable

MANY = 1_000


def seen(table: RoutingTable) -> tuple[tuple[Row, ...], tuple[Row, ...], int, int, Inputs | None, str]:
    """All that callers can ask for."""
    return (
        table.rows(ROUTE),
        table.proposed(ROUTE),
        table.version(ROUTE),
        table.decided(ROUTE),
        table.inputs(ROUTE),
        table.story(ROUTE),
    )


def readings(count: int, rng: random.Random) -> tuple[Reading, ...]:
    """Of endpoints of which one in ten fails."""
    made = (bad, good, *(good,) * 8)
    return tuple(rng.choice(made)(at, rng.uniform(0.01, 0.9)) for at in range(count))


@settings(deadline=None, max_examples=60)
@given(LOGS)
def test_an_event_in_steps_comes_to_the_same_as_at_once(log: list[tuple[float, Event]]) -> None:
    once, stepped = Table(4), Table(4)
    for wait_s, event in log:
        once.now_s += wait_s
        answer = once.send(event)
        if isinstance(event, Wake):
            stepped.machine.apply(event, once.now_s)
        else:
            assert whole(stepped.machine.apply_in_steps([event], once.now_s)) == [answer]
        assert seen(stepped.machine) == seen(once.machine)


@settings(deadline=None, max_examples=60)
@given(LOGS, LOGS, st.integers(0, 60))
def test_who_stops_between_two_steps_leaves_no_trace(
    log: list[tuple[float, Event]], more: list[tuple[float, Event]], stops_after: int
) -> None:
    table = Table(4)
    for _, event in log:
        table.send(event)
    before = seen(table.machine)
    steps = table.machine.apply_in_steps([one for _, one in more if not isinstance(one, Wake)] or [SET], table.now_s)
    for _ in range(stops_after):
        if next(steps, "the end") == "the end":
            return
        assert seen(table.machine) == before
    steps.close()
    assert seen(table.machine) == before


SET = SetMode(ROUTE, Mode.SUGGEST)


def test_events_of_a_route_are_seen_all_at_once() -> None:
    table = Table(4)
    versions = set()
    for _ in table.machine.apply_in_steps([Observe(ROUTE, (bad(0), good(1))), SetMode(ROUTE, Mode.OBSERVE)], 5.0):
        versions.add((table.machine.version(ROUTE), table.machine.inputs(ROUTE).mode))  # type: ignore[union-attr]
    assert versions == {(1, Mode.ACT)}
    assert table.machine.version(ROUTE) == 2
    assert table.machine.inputs(ROUTE).mode is Mode.OBSERVE  # type: ignore[union-attr]


def test_what_is_overtaken_is_refused_and_leaves_no_trace() -> None:
    table = Table(4)
    steps = table.machine.apply_in_steps([Observe(ROUTE, (bad(0), good(1)))], 5.0)
    next(steps)
    table.send(RemoveRoute(ROUTE))
    [(outcome, effects)] = whole(steps)
    assert (outcome.kind, outcome.refusal, effects) == (OutcomeKind.REFUSED, Refusal.OVERTAKEN, ())
    assert table.machine.routes() == ()


def took_s(table: RoutingTable, event: Observe, now_s: float) -> list[float]:
    """The processor time of each step."""
    took = []
    steps = table.apply_in_steps([event], now_s)
    while True:
        begun_s = time.thread_time()
        end = next(steps, Outcome)
        took.append(time.thread_time() - begun_s)
        if end is Outcome:
            return took


def test_no_step_is_a_large_part_of_a_decision() -> None:
    table, rng = Table(MANY), random.Random(1)
    took = [took_s(table.machine, Observe(ROUTE, readings(MANY, rng)), float(at)) for at in range(5)]
    assert min(max(steps) / sum(steps) for steps in took) < 0.25


def dying_s(count: int) -> float:
    """The processor time of a decision in which all endpoints are found dead."""
    table = Table(count, settings=Settings(max_ejection_percent=100.0))
    return sum(took_s(table.machine, Observe(ROUTE, tuple(dead(at) for at in range(count))), 1.0))


def test_many_ejections_at_once_take_no_longer_for_each() -> None:
    assert dying_s(20 * 100) < 4 * 20 * dying_s(100)
