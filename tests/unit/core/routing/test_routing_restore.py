"""A table that was kept goes on as if the process had not ended."""

from dataclasses import replace

from weftmesh.core.routing.events import (
    Observe,
    OutcomeKind,
    RestoreRoute,
    SetMode,
    SetOverride,
    SetRoute,
    TableChanged,
    Wake,
)
from weftmesh.core.routing.model import Condition, Endpoint, Mode, Override, OverrideKind, Reading, Settings
from weftmesh.core.routing.table import RoutingTable

ENDPOINTS = (Endpoint("a", "127.0.0.1:1"), Endpoint("b", "127.0.0.1:2"), Endpoint("c", "127.0.0.1:3"))
DEAD = tuple(Reading(one.name, 0.02, 0.001, 0.9 * (one.name == "c"), 0.1, 9.0, one.name != "c") for one in ENDPOINTS)


def running() -> RoutingTable:
    table = RoutingTable()
    table.apply(SetRoute("pay", ENDPOINTS), 100.0)
    table.apply(SetMode("pay", Mode.ACT), 100.0)
    table.apply(Observe("pay", DEAD), 101.0)
    return table


def kept(table: RoutingTable) -> RestoreRoute:
    inputs = table.inputs("pay")
    assert inputs is not None
    decided = table.decisions("pay")[-1].number
    return RestoreRoute(
        "pay", inputs.endpoints, inputs.settings, inputs.mode, inputs.overrides, table.rows("pay"), 7, decided
    )


def test_a_restored_route_has_the_same_table_version_and_orders() -> None:
    before = running()
    before.apply(SetOverride("pay", Override(OverrideKind.FREEZE, "", "ann@node1", "incident")), 102.0)
    again = RoutingTable()
    outcome, effects = again.apply(kept(before), 103.0)
    assert outcome.kind is OutcomeKind.APPLIED
    assert effects == (TableChanged("pay", 7, before.rows("pay")),)
    assert again.rows("pay") == before.rows("pay")
    again.apply(Wake(), 200.0)
    again.check()
    assert [row.weight for row in again.rows("pay")] == [row.weight for row in before.rows("pay")], "still frozen"


def test_decisions_go_on_counting() -> None:
    event = kept(running())
    again = RoutingTable()
    again.apply(event, 103.0)
    again.apply(SetOverride("pay", Override(OverrideKind.DRAIN, "a", "ann@node1", "patching")), 104.0)
    assert again.decisions("pay")[0].number == event.decided + 1


def test_what_is_no_table_is_refused() -> None:
    event = kept(running())
    for wrong in (replace(event, rows=event.rows[:2]), replace(event, rows=()), replace(event, endpoints=())):
        table = RoutingTable()
        assert table.apply(wrong, 103.0)[0].kind is OutcomeKind.REFUSED
        assert table.routes() == ()


def test_a_clock_that_was_set_back_leaves_no_time_to_come() -> None:
    table = RoutingTable()
    table.apply(kept(running()), 50.0)
    assert all(row.since_s <= 50.0 and row.moved_s <= 50.0 for row in table.rows("pay"))
    table.check()


def test_an_ejection_ends_though_the_clock_was_set_back_by_days() -> None:
    table = RoutingTable()
    table.apply(kept(running()), -1e6)
    well = tuple(replace(one, bad_lower=0.0, alive=True) for one in DEAD)
    for second in range(200):
        table.apply(Observe("pay", well), -1e6 + second)
    assert table.rows("pay")[2].condition is Condition.ACTIVE


def test_settings_that_changed_meanwhile_hold_at_once() -> None:
    table = RoutingTable()
    table.apply(kept(running()), 103.0)
    table.apply(SetRoute("pay", ENDPOINTS, Settings(max_ejection_percent=0.0)), 104.0)
    table.check()
