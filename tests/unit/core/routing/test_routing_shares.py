"""Shares that an operator ordered: a canary of five percent gets five percent, whatever endpoints look like."""

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.core.routing.routes import ROUTE, Table, bad, dead, endpoints, good, weighing

from weftmesh.core.routing.events import ClearOverride, OutcomeKind, Refusal, RestoreRoute, SetOverride, SetRoute
from weftmesh.core.routing.model import Condition, Mode, Override, OverrideKind, Reason, Row, Settings, Share

CANARY = (0.60, 0.35, 0.05)
PARTS = st.lists(st.integers(0, 100), min_size=4, max_size=4).filter(any)


def ordered(table: Table, *shares: float) -> list[float]:
    """The weights once they are where they go by this order."""
    assert table.weigh(*shares).kind is OutcomeKind.APPLIED
    table.run(30.0)
    return table.weights


def test_shares_are_reached_to_the_point_in_bounded_steps() -> None:
    table = Table(3)
    table.weigh(0.94, 0.05, 0.01)
    seen = table.run(30.0)
    steps = [abs(b - a) for one, other in itertools.pairwise(seen) for a, b in zip(one, other, strict=True)]
    assert max(steps) <= table.settings.step_max + 1e-9
    assert table.weights == pytest.approx([0.94, 0.05, 0.01])
    assert ordered(table, 0.945, 0.05, 0.005) == pytest.approx([0.945, 0.05, 0.005]), "no dead band"
    assert table.machine.next_deadline() is None


def test_neither_what_endpoints_can_serve_nor_a_move_before_holds_shares_back() -> None:
    table = Table(3)
    table.see(good(0, 0.2), good(1), good(2))
    table.run(5.0)
    assert ordered(table, *CANARY) == pytest.approx(CANARY)
    assert ordered(table, 0.2, 0.4, 0.4) == pytest.approx([0.2, 0.4, 0.4]), "half a minute later it turns round"
    table.see(good(0, 0.5), good(1, 0.001), good(2))
    table.run(300.0)
    assert table.weights == pytest.approx([0.2, 0.4, 0.4])


def test_the_table_says_who_ordered_shares_and_why() -> None:
    table = Table(3)
    ordered(table, *CANARY)
    row = table.rows["e2"]
    assert (row.reason, row.detail) == (Reason.WEIGHED, "ops: canary; goes to 5 %; too little heard yet")
    assert "order: weigh e0=60% e1=35% e2=5% by ops: canary" in table.machine.story(ROUTE)


def test_the_others_get_the_share_of_an_ejected_endpoint_until_it_is_back() -> None:
    table = Table(3)
    ordered(table, *CANARY)
    table.see(bad(0), good(1), good(2))
    assert table.weights == pytest.approx([0.0, 0.875, 0.125])
    assert table.rows["e0"].reason is Reason.ERRORS, "that is why it does not get its share"
    table.see(good(0))
    while table.rows["e0"].condition is Condition.EJECTED:
        table.run(1.0)
    begun = table.rows["e0"]
    assert 0.0 < begun.weight < 0.2, "it begins slowly"
    assert begun.reason is Reason.SLOW_START
    table.run(30.0)
    assert table.weights == pytest.approx(CANARY)


def test_the_others_get_the_share_of_a_drained_endpoint() -> None:
    table = Table(3)
    table.order(OverrideKind.DRAIN, "e0")
    assert ordered(table, *CANARY) == pytest.approx([0.0, 0.875, 0.125])
    assert [row.reason for row in table.rows.values()] == [Reason.DRAINED, Reason.WEIGHED, Reason.WEIGHED]
    table.send(ClearOverride(ROUTE, OverrideKind.DRAIN, "e0"))
    table.run(30.0)
    assert table.weights == pytest.approx(CANARY)


def test_an_endpoint_with_no_share_gets_nothing_when_another_fails() -> None:
    table = Table(3)
    assert ordered(table, 0.5, 0.5, 0.0) == [0.5, 0.5, 0.0]
    table.see(dead(0), good(1), good(2))
    assert table.weights == [0.0, 1.0, 0.0]
    table.see(dead(1))
    assert table.weights[2] == 0.0
    assert table.rows["e1"].reason is Reason.EJECTION_LIMIT, "the last one that may be used is not ejected"


def test_a_pin_and_a_freeze_come_before_shares() -> None:
    table = Table(3)
    table.order(OverrideKind.PIN, "e2")
    assert ordered(table, *CANARY) == [0.0, 0.0, 1.0]
    table.order(OverrideKind.FREEZE)
    table.send(ClearOverride(ROUTE, OverrideKind.PIN, "e2"))
    table.run(30.0)
    assert table.weights == [0.0, 0.0, 1.0]
    table.send(ClearOverride(ROUTE, OverrideKind.FREEZE))
    table.run(30.0)
    assert table.weights == pytest.approx(CANARY)


def test_shares_that_are_taken_back_leave_weights_to_what_endpoints_can_serve() -> None:
    table = Table(3)
    ordered(table, *CANARY)
    table.send(ClearOverride(ROUTE, OverrideKind.WEIGH))
    table.run(120.0)
    assert table.weights[2] > 0.2
    assert table.rows["e2"].reason is Reason.SHARE


def test_an_endpoint_that_comes_later_gets_nothing_until_it_is_named() -> None:
    table = Table(2)
    ordered(table, 0.9, 0.1)
    table.send(SetRoute(ROUTE, endpoints(3), table.settings))
    table.run(60.0)
    assert table.weights == pytest.approx([0.9, 0.1, 0.0])
    assert ordered(table, 0.8, 0.1, 0.1) == pytest.approx([0.8, 0.1, 0.1])


def test_shares_go_with_the_last_endpoint_that_has_one() -> None:
    table = Table(3)
    ordered(table, 0.0, 0.0, 1.0)
    table.send(SetRoute(ROUTE, endpoints(2), table.settings))
    table.run(60.0)
    assert table.weights == [0.5, 0.5]


@pytest.mark.parametrize(
    "shares", [(), (0.5, 0.4), (1.5, -0.5), (math.nan, 1.0)], ids=["none", "sum", "range", "not a number"]
)
def test_shares_that_are_none_are_refused(shares: tuple[float, ...]) -> None:
    table = Table(2)
    assert table.weigh(*shares).refusal is Refusal.INVALID


def test_no_endpoint_is_named_twice_and_shares_are_of_the_route() -> None:
    table = Table(2)
    for order in (
        Override(OverrideKind.WEIGH, "", "ops", "why", (Share("e0", 0.5), Share("e0", 0.5))),
        Override(OverrideKind.WEIGH, "e0", "ops", "why", (Share("e0", 1.0),)),
    ):
        assert table.send(SetOverride(ROUTE, order))[0].refusal is Refusal.INVALID


def test_shares_and_drains_that_leave_nothing_are_refused() -> None:
    table = Table(2)
    table.order(OverrideKind.DRAIN, "e0")
    assert table.weigh(1.0, 0.0).refusal is Refusal.CONTRADICTION
    ordered(table, 0.0, 1.0)
    table.send(ClearOverride(ROUTE, OverrideKind.DRAIN, "e0"))
    refused = table.order(OverrideKind.DRAIN, "e1")
    assert (refused.refusal, "ordered share" in refused.message) == (Refusal.LAST_ENDPOINT, True)


def test_orders_of_before_that_leave_nothing_are_no_orders() -> None:
    table = Table(2)
    orders = (weighing(1.0, 0.0), Override(OverrideKind.DRAIN, "e0", "ops", "why"))
    rows = (Row("e0", 0.5, 0.5), Row("e1", 0.5, 0.5))
    table.send(RestoreRoute("other", endpoints(2), Settings(), Mode.ACT, orders, rows, 7, 9))
    table.run(30.0)
    assert [row.weight for row in table.machine.rows("other")] == [0.0, 1.0], "the drain holds"


@settings(deadline=None, max_examples=40)
@given(PARTS, PARTS)
def test_any_shares_are_reached_whatever_was_ordered_before(first: list[int], second: list[int]) -> None:
    table = Table(4)
    ordered(table, *(one / sum(first) for one in first))
    shares = [one / sum(second) for one in second]
    assert ordered(table, *shares) == pytest.approx(shares)
