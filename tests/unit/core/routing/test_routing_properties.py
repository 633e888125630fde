"""What holds of routing tables after any events."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.core.routing.routes import ROUTE, Table, endpoints, weighing

from weftmesh.core.routing.deciding import decide
from weftmesh.core.routing.ejecting import carries
from weftmesh.core.routing.events import ClearOverride, Observe, SetMode, SetOverride, SetRoute, Wake
from weftmesh.core.routing.model import Condition, Inputs, Mode, Override, OverrideKind, Reading, Reason, Settings
from weftmesh.core.routing.replay import POLICIES, policy_named, replay

NAMES = st.integers(0, 5).map(lambda at: f"e{at}")
READINGS = st.builds(
    Reading,
    NAMES,
    st.floats(0.001, 1.0),
    st.floats(0.0, 0.5),
    st.floats(0.0, 1.0),
    st.floats(0.0, 8.0),
    st.floats(0.0, 100.0),
    st.booleans(),
)
OVERRIDES = st.builds(Override, st.sampled_from(OverrideKind), NAMES | st.just(""), st.just("ops"), st.just("why"))
SHARES = st.lists(st.integers(0, 3), min_size=1, max_size=6).filter(any)
WEIGHINGS = SHARES.map(lambda parts: weighing(*(one / sum(parts) for one in parts)))
EVENTS = st.one_of(
    st.builds(Observe, st.just(ROUTE), st.lists(READINGS, max_size=6).map(tuple)),
    st.builds(SetMode, st.just(ROUTE), st.sampled_from(Mode)),
    st.builds(SetOverride, st.just(ROUTE), OVERRIDES | WEIGHINGS),
    st.builds(ClearOverride, st.just(ROUTE), st.sampled_from(OverrideKind), NAMES | st.just("")),
    st.builds(SetRoute, st.just(ROUTE), st.integers(1, 6).map(endpoints), st.just(Settings())),
    st.just(Wake()),
)
LOGS = st.lists(st.tuples(st.floats(0.0, 40.0), EVENTS), max_size=30)


def played(log: list[tuple[float, object]]) -> Table:
    """A table after events; `send` checks every invariant after each: weights sum to 1, never the last endpoint."""
    table = Table(4)
    for wait_s, event in log:
        table.now_s += wait_s
        table.send(event)
    return table


@settings(deadline=None, max_examples=60)
@given(LOGS)
def test_any_events_keep_every_invariant(log: list[tuple[float, object]]) -> None:
    table = played(log)
    assert math.isclose(sum(table.weights), 1.0)
    table.machine.story(ROUTE)


@settings(deadline=None, max_examples=40)
@given(LOGS)
def test_the_log_under_the_same_policy_gives_the_same_decisions(log: list[tuple[float, object]]) -> None:
    table = played(log)
    assert [one.after for one in replay(table.log, decide)] == [one.after for one in table.log]


@settings(deadline=None, max_examples=15)
@given(LOGS, st.sampled_from(sorted(POLICIES)))
def test_every_policy_gives_tables_for_any_log(log: list[tuple[float, object]], name: str) -> None:
    for one in replay(played(log).log, policy_named(name)):
        assert math.isclose(sum(row.weight for row in one.after), 1.0)
        assert 0.0 <= one.moved <= 1.0 + 1e-9


@given(st.lists(READINGS, min_size=1, max_size=6, unique_by=lambda one: one.endpoint))
def test_what_remains_after_an_ejection_for_errors_carries_the_load(readings: list[Reading]) -> None:
    inputs = Inputs(ROUTE, 0.0, Mode.ACT, Settings(), endpoints(6), (), tuple(readings))
    rows = decide(inputs, ())
    out = {row.endpoint for row in rows if row.condition is Condition.EJECTED}
    if any(row.reason is Reason.ERRORS for row in rows if row.endpoint in out):
        left = {one.name for one in inputs.endpoints} - out
        assert carries(inputs, left, {one.endpoint: one for one in readings}, inputs.settings.fill_max)


@settings(deadline=None, max_examples=40)
@given(LOGS)
def test_a_frozen_route_keeps_its_weights(log: list[tuple[float, object]]) -> None:
    table = Table(4)
    table.order(OverrideKind.FREEZE)
    before = table.weights
    for wait_s, event in log:
        if isinstance(event, ClearOverride | SetRoute):
            continue
        table.now_s += wait_s
        table.send(event)
    assert table.weights == before


@settings(deadline=None, max_examples=40)
@given(LOGS, st.booleans())
def test_what_is_ordered_to_be_empty_stays_empty(log: list[tuple[float, object]], drained: bool) -> None:
    table = Table(4)
    table.weigh(0.7, 0.2, 0.1 * drained, 0.1 * (not drained))
    if drained:
        table.order(OverrideKind.DRAIN, "e2")
    table.run(30.0)
    empty = [2, 3] if drained else [2]
    for wait_s, event in log:
        if isinstance(event, Observe | Wake):
            table.now_s += wait_s
            table.send(event)
        assert [table.weights[at] for at in empty] == [0.0] * len(empty)
