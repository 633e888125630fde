"""The table machine: weights, ejections, orders and modes."""

import itertools

import pytest
from tests.unit.core.routing.routes import ROUTE, Table, bad, dead, endpoints, good

from weftmesh.core.routing.changing import ROWS_KEPT, ROWS_KEPT_IN_ALL
from weftmesh.core.routing.events import ClearOverride, Observe, OutcomeKind, Refusal, SetMode, SetRoute, Suggested
from weftmesh.core.routing.model import Condition, Mode, Override, OverrideKind, Reading, Reason, Settings
from weftmesh.core.routing.table import RoutingTable


def ejected(table: Table) -> list[str]:
    return [name for name, row in table.rows.items() if row.condition is Condition.EJECTED]


def conditions(table: Table) -> list[Condition]:
    return [row.condition for row in table.rows.values()]


def test_a_new_route_is_weighted_by_capacity() -> None:
    assert Table(4).weights == [0.25] * 4


def test_weights_follow_what_endpoints_can_serve_in_bounded_steps() -> None:
    table = Table(4)
    table.see(good(0, 0.06), good(1), good(2), good(3))
    seen = table.run(20)
    assert table.weights[0] < 0.13
    steps = [abs(b - a) for one, other in itertools.pairwise(seen) for a, b in zip(one, other, strict=True)]
    assert max(steps) <= table.settings.step_max + 1e-9


def test_an_endpoint_that_surely_fails_is_out_at_once_and_says_why() -> None:
    table = Table(4)
    table.see(bad(0), good(1), good(2), good(3))
    row = table.rows["e0"]
    assert (row.weight, row.admission, row.condition, row.reason) == (0.0, 0.0, Condition.EJECTED, Reason.ERRORS)
    assert "80.0% bad" in row.detail


def test_few_samples_eject_nobody() -> None:
    table = Table(2)
    table.see(bad(0).__class__("e0", 0.02, 0.001, 0.9, 1.0, 2.0), good(1))
    assert ejected(table) == []


def test_the_last_endpoint_is_never_ejected() -> None:
    table = Table(3, settings=Settings(max_ejection_percent=100.0))
    table.see(dead(0), dead(1), dead(2))
    assert len(ejected(table)) == 2
    assert table.rows["e2"].reason is Reason.EJECTION_LIMIT


def test_no_more_are_ejected_than_the_agreement_allows() -> None:
    table = Table(8, settings=Settings(max_ejection_percent=25.0))
    table.see(*(bad(at) for at in range(3)), *(good(at) for at in range(3, 8)))
    assert len(ejected(table)) == 2


def test_an_ejection_that_leaves_too_little_for_the_load_does_not_happen() -> None:
    table = Table(4)
    table.see(bad(0, in_flight=4.0), *(good(at, in_flight=3.0) for at in (1, 2, 3)))
    assert ejected(table) == []
    assert table.rows["e0"].reason is Reason.CAPACITY


def test_when_load_outgrows_what_is_left_an_ejection_ends_early() -> None:
    table = Table(4)
    table.see(bad(0), *(good(at) for at in (1, 2, 3)))
    assert ejected(table) == ["e0"]
    table.now_s += 1.0
    table.see(bad(0), *(good(at, in_flight=4.0) for at in (1, 2, 3)))
    assert ejected(table) == []
    table.now_s += 1.0
    table.see(bad(0), *(good(at, in_flight=1.0) for at in (1, 2, 3)))
    assert ejected(table) == [], "called back, it has its chance before it is ejected again"


def test_where_everybody_looks_bad_nobody_is_ejected() -> None:
    table = Table(5, settings=Settings(max_ejection_percent=100.0))
    table.see(*(bad(at, lower=0.6 + at / 20) for at in range(5)))
    assert ejected(table) == []
    assert {row.reason for row in table.rows.values()} == {Reason.CAPACITY}


def test_no_endpoint_is_meant_to_carry_more_than_it_can_serve() -> None:
    table = Table(4)
    far = [Reading(f"e{at}", 0.02, 0.5, 0.0, 2.0, 50.0) for at in (1, 2, 3)]
    table.see(good(0, in_flight=4.0), *far)
    table.run(60.0)
    load, capacity, fill_max = 4.0 + 3 * 2.0, 4.0, table.settings.fill_max
    assert 0.25 < table.weights[0] <= fill_max * capacity / load * 1.15


def test_an_ejected_endpoint_that_all_others_left_alone_is_called_back() -> None:
    table = Table(3)
    table.see(bad(0), good(1), good(2))
    table.send(SetRoute(ROUTE, endpoints(1), table.settings))
    assert conditions(table) == [Condition.RETURNING]
    assert table.weights == [1.0]


def test_an_ejected_endpoint_is_called_back_when_the_last_other_one_is_drained() -> None:
    table = Table(2)
    table.see(dead(0), good(1))
    assert ejected(table) == ["e0"]
    table.order(OverrideKind.DRAIN, "e1")
    assert ejected(table) == []


def test_after_a_pin_an_ejected_endpoint_says_again_why_it_is_out() -> None:
    table = Table(4)
    table.order(OverrideKind.PIN, "e1")
    table.see(dead(2))
    assert table.rows["e2"].reason is Reason.PINNED
    table.send(ClearOverride(ROUTE, OverrideKind.PIN, "e1"))
    assert (table.rows["e2"].condition, table.rows["e2"].reason) == (Condition.EJECTED, Reason.DEAD)


def test_an_ejected_endpoint_returns_slowly_once_it_is_well() -> None:
    table = Table(4)
    table.see(bad(0), good(1), good(2), good(3))
    table.see(good(0))
    table.run(table.settings.hold_down_s - 1.0)
    assert ejected(table) == ["e0"]
    table.run(3.0)
    assert conditions(table)[0] is Condition.RETURNING
    assert 0.0 < table.weights[0] < 0.1
    table.run(30.0)
    assert conditions(table)[0] is Condition.ACTIVE
    assert table.weights[0] > 0.2


def test_one_that_is_still_bad_stays_out() -> None:
    table = Table(4)
    table.see(bad(0), good(1), good(2), good(3))
    table.run(600.0)
    assert ejected(table) == ["e0"]


def test_each_ejection_soon_after_another_is_longer() -> None:
    table = Table(4)
    lengths = []
    for _ in range(3):
        table.see(bad(0), good(1), good(2), good(3))
        lengths.append(table.rows["e0"].until_s - table.now_s)
        table.see(good(0))
        table.run(200.0)
        table.now_s = table.rows["e0"].since_s + 1.0
    assert lengths == [10.0, 20.0, 30.0]


def test_a_new_endpoint_of_a_known_route_begins_slowly() -> None:
    table = Table(3)
    table.send(SetRoute(ROUTE, endpoints(4), table.settings))
    assert table.rows["e3"].condition is Condition.RETURNING
    assert table.weights[3] < 0.05
    table.run(60.0)
    assert table.weights[3] > 0.2


def test_a_drain_goes_to_0_in_bounded_steps_and_stays_there() -> None:
    table = Table(4)
    assert table.order(OverrideKind.DRAIN, "e1").kind is OutcomeKind.APPLIED
    seen = [weights[1] for weights in table.run(30.0)]
    assert all(0.0 <= a - b <= table.settings.step_max + 1e-9 for a, b in itertools.pairwise(seen))
    assert table.weights[1] == 0.0
    assert table.rows["e1"].admission == 0.0
    table.see(good(1, 0.001), good(0, 0.1))
    table.run(300.0)
    assert table.weights[1] == 0.0


def test_a_new_route_begins_where_orders_want_it() -> None:
    table = RoutingTable()
    drain = Override(OverrideKind.DRAIN, "e1", "ops", "new kernel")
    nobody = Override(OverrideKind.DRAIN, "nobody", "ops", "gone")
    table.apply(SetRoute(ROUTE, endpoints(3), Settings(), Mode.ACT, (nobody, drain)), 0.0)
    assert [row.weight for row in table.rows(ROUTE)] == [0.5, 0.0, 0.5]
    assert [one.endpoint for one in table.decisions(ROUTE)[0].inputs.overrides] == ["e1"]


@pytest.mark.parametrize("freeze", [(), (Override(OverrideKind.FREEZE, "", "ops", "tonight"),)])
def test_what_takes_no_effect_takes_none_at_the_beginning(freeze: tuple[Override, ...]) -> None:
    table = RoutingTable()
    orders = (Override(OverrideKind.PIN, "e1", "ops", "a try"), *freeze)
    table.apply(SetRoute(ROUTE, endpoints(2), Settings(), Mode.ACT if freeze else Mode.SUGGEST, orders), 0.0)
    assert [row.weight for row in table.rows(ROUTE)] == [0.5, 0.5]
    assert table.proposed(ROUTE)[1].weight > 0.5


def test_looks_that_come_often_make_no_more_steps() -> None:
    table = Table(2)
    table.order(OverrideKind.DRAIN, "e0")
    assert table.weights == pytest.approx([0.4, 0.6])
    for _ in range(20):
        table.now_s += 0.1
        table.see(good(0))
    assert table.weights == pytest.approx([0.2, 0.8])


def test_a_drained_endpoint_does_not_rise_when_another_is_ejected() -> None:
    table = Table(4)
    table.order(OverrideKind.DRAIN, "e1")
    before = table.weights[1]
    table.see(bad(0), good(1), good(2), good(3))
    assert table.weights[0] == 0.0
    assert table.weights[1] <= before


def test_while_an_endpoint_is_drained_the_others_still_make_no_flap() -> None:
    table = Table(4)
    table.order(OverrideKind.DRAIN, "e3")
    table.run(30.0)
    turns, last, before = 0, 0, table.weights[0]
    for second in range(55):
        table.now_s += 1.0
        table.see(good(0, 0.01 if second // 7 % 2 else 0.06), good(1), good(2))
        change, before = table.weights[0] - before, table.weights[0]
        if abs(change) >= 0.002:
            turns += last * change < 0.0
            last = 1 if change > 0.0 else -1
    assert turns <= 2


def test_a_pin_takes_everything() -> None:
    table = Table(4)
    table.order(OverrideKind.PIN, "e2")
    table.run(30.0)
    assert table.weights == [0.0, 0.0, 1.0, 0.0]
    assert table.rows["e2"].detail.startswith("ops: maintenance")


def test_after_a_drain_is_cleared_the_endpoint_comes_back() -> None:
    table = Table(4)
    table.order(OverrideKind.DRAIN, "e1")
    table.run(30.0)
    table.send(ClearOverride(ROUTE, OverrideKind.DRAIN, "e1"))
    table.run(120.0)
    assert table.weights[1] > 0.2


def test_freeze_changes_nothing_whatever_happens() -> None:
    table = Table(4)
    table.see(good(0, 0.03), good(1), good(2), good(3))
    table.run(3.0)
    before = table.weights
    table.order(OverrideKind.FREEZE)
    table.see(bad(0), dead(1), good(2, 0.5))
    table.order(OverrideKind.DRAIN, "e3")
    table.run(300.0)
    assert table.weights == before
    table.send(ClearOverride(ROUTE, OverrideKind.FREEZE))
    assert table.weights[0] == 0.0


@pytest.mark.parametrize("mode", [Mode.OBSERVE, Mode.SUGGEST])
def test_only_acting_changes_weights(mode: Mode) -> None:
    table = Table(4, mode)
    _, effects = table.see(bad(0), good(1), good(2), good(3))
    assert table.weights == [0.25] * 4
    assert table.log[-1].after[0].weight == 0.0
    assert any(isinstance(one, Suggested) for one in effects) is (mode is Mode.SUGGEST)
    table.send(SetMode(ROUTE, Mode.ACT))
    assert table.weights[0] == 0.0


def test_a_weight_turns_round_at_most_twice_a_minute() -> None:
    table = Table(4)
    table.run(1.0)
    turns, last = [], 0
    for second in range(600):
        table.now_s += 1.0
        wave = second // 7 % 2
        before = table.weights[0]
        table.see(good(0, 0.01 if wave else 0.06), good(1), good(2), good(3))
        change = table.weights[0] - before
        if abs(change) >= 0.002:
            direction = 1 if change > 0 else -1
            if last and direction != last:
                turns.append(table.now_s)
            last = direction
    assert turns
    assert all(sum(at <= other < at + 60.0 for other in turns) <= 2 for at in turns)


@pytest.mark.parametrize(
    ("kind", "endpoint", "refusal"),
    [
        (OverrideKind.DRAIN, "nobody", Refusal.NO_SUCH_ENDPOINT),
        (OverrideKind.FREEZE, "e0", Refusal.INVALID),
        (OverrideKind.PIN, "e0", Refusal.CONTRADICTION),
        (OverrideKind.DRAIN, "e1", Refusal.LAST_ENDPOINT),
    ],
)
def test_orders_that_cannot_be_are_refused_with_a_reason(kind: OverrideKind, endpoint: str, refusal: Refusal) -> None:
    table = Table(2)
    table.order(OverrideKind.DRAIN, "e0")
    outcome = table.order(kind, endpoint)
    assert (outcome.kind, outcome.refusal) == (OutcomeKind.REFUSED, refusal)
    assert outcome.message


def test_events_for_routes_that_are_not_there_are_refused() -> None:
    outcome, effects = Table().send(Observe("nothing", (good(0),)))
    assert (outcome.refusal, effects) == (Refusal.NO_SUCH_ROUTE, ())


def test_readings_that_are_no_numbers_are_left_out() -> None:
    table = Table(2)
    before = table.weights
    table.see(good(0, float("nan")), good(1, float("inf")), good(0, -1.0))
    assert table.weights == before


def test_the_story_says_what_happened_and_by_whom() -> None:
    table = Table(3)
    table.see(bad(0), good(1), good(2))
    table.order(OverrideKind.FREEZE)
    story = table.machine.story(ROUTE)
    assert "order: freeze" in story
    assert "ops: maintenance" in story
    assert "e0: 33.3% active -> 0.0% ejected, errors" in story


def test_many_endpoints_take_no_more_memory_for_their_decisions_than_few() -> None:
    table = Table(100)
    for at in range(60):
        table.order(OverrideKind.DRAIN, f"e{at}")
    assert sum(len(one.after) for one in table.machine.decisions(ROUTE)) <= ROWS_KEPT
    assert table.log[-1] == table.machine.decisions(ROUTE)[-1]


def test_many_routes_share_the_memory_for_decisions() -> None:
    table = Table(50)
    for at in range(ROWS_KEPT_IN_ALL // ROWS_KEPT * 4):
        table.machine.apply(SetRoute(f"other{at}", endpoints(1)), 0.0)
    for at in range(40):
        table.order(OverrideKind.DRAIN, f"e{at}")
    assert sum(len(one.after) for one in table.machine.decisions(ROUTE)) <= ROWS_KEPT / 4
