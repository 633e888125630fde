"""What whoever leads does about agreements, from their state alone: breaches begin, hold and end; classes follow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from tests.unit.core.ola_machine.agreed import NOON_S, PAYMENTS

from weftmesh.client.ola_status import Held, Judged, judged
from weftmesh.coordinator.ola.decisions import HOLD_S, Close, Open, SetClass, Step, Tell, retired_steps, steps
from weftmesh.coordinator.ola.tasks import task_id
from weftmesh.core.ids import is_ulid, ulid_ms
from weftmesh.core.ola.model import Agreement, OpenTask, RaiseClass, ServiceClass, Uptime
from weftmesh.core.ola.replicated.rows import Breach, Generation, Standing
from weftmesh.ola.v1 import ola_pb2

NOW_S = NOON_S + 7 * 86_400
TASK = OpenTask("OPS", "payments burns its budget")
AGREED = replace(PAYMENTS, objectives=(Uptime(999_000_000),), on_breach=(RaiseClass(ServiceClass.CRITICAL), TASK))
BREACH = Breach("payments-api", "uptime", NOW_S - HOLD_S, 0, "it burns")


def doing(
    bad: Iterator[int] | list[int], *breaches: Breach, agreement: Agreement = AGREED, raised_to: int = 0
) -> Judged:
    """An agreement of which so many of 1,000 events were bad in each of the last windows, the newest first."""
    held = Held(
        Generation(agreement.name, 1, agreement, "ann@n1", 1, 1),
        Standing(agreement.name, 1, 1, raised_to=raised_to, raised_why="it burnt" if raised_to else ""),
        (),
        breaches,
    )
    history = ola_pb2.History(newest_s=NOW_S - 300)
    row = history.objectives.add(objective="uptime")
    for number, one in enumerate(bad, start=1):
        row.parts.add(starts_s=NOW_S - number * 300, part_s=300, good=1_000 - one, total=1_000)
    return judged(held, history, NOW_S)


def kinds(found: list[Step]) -> list[type[Step]]:
    return [type(one) for one in found]


def test_nothing_is_done_about_an_agreement_that_is_kept() -> None:
    assert list(steps(doing([0] * 288))) == []


def test_a_breach_begins_when_the_budget_burns_and_the_class_goes_up() -> None:
    opened, raised = steps(doing([100] * 12 + [0] * 276))
    assert isinstance(opened, Open)
    assert (opened.name, opened.objective, opened.started_s) == ("payments-api", "uptime", NOW_S)
    assert "burns" in opened.evidence or "were bad" in opened.evidence
    assert isinstance(raised, SetClass)
    assert raised.to is ServiceClass.CRITICAL
    assert opened.evidence in raised.why


def test_whoever_leads_next_opens_no_second_breach_and_sees_to_the_same_task() -> None:
    found = list(steps(doing([100] * 12 + [0] * 276, BREACH, raised_to=1)))
    assert found == [Tell(BREACH, TASK)]
    assert task_id(BREACH, TASK) == task_id(replace(BREACH, evidence="in other words"), TASK)
    assert is_ulid(task_id(BREACH, TASK))
    assert ulid_ms(task_id(BREACH, TASK)) == BREACH.started_s * 1_000
    others = {task_id(replace(BREACH, objective="x"), TASK), task_id(BREACH, replace(TASK, project="DEV"))}
    assert task_id(BREACH, TASK) not in others


def test_a_breach_is_over_when_it_is_calm_and_the_class_goes_back() -> None:
    closed, lowered = steps(doing([0] * 288, BREACH, raised_to=1))
    assert closed == Close(BREACH, NOW_S, closed.evidence)  # type: ignore[union-attr]  # it is one
    assert closed.evidence.startswith("it burns\nover: ")
    assert isinstance(lowered, SetClass)
    assert lowered.to is ServiceClass.NORMAL


def test_a_breach_holds_for_a_while_even_when_it_is_calm() -> None:
    fresh = replace(BREACH, started_s=NOW_S - HOLD_S + 300)
    assert kinds(list(steps(doing([0] * 288, fresh, raised_to=1)))) == [Tell]


def test_between_the_two_limits_nothing_changes() -> None:
    # 1.0 times as fast as allowed for three days and on: neither more than the factor nor below half of it.
    even = [1] * 864
    assert list(steps(doing(even))) == []
    assert kinds(list(steps(doing(even, BREACH, raised_to=1)))) == [Tell]


@pytest.mark.parametrize("actions", [(), (TASK,)])
def test_a_class_goes_up_only_where_it_was_agreed(actions: tuple[OpenTask, ...]) -> None:
    found = list(steps(doing([100] * 288, agreement=replace(AGREED, on_breach=actions))))
    assert kinds(found) == [Open]


def test_a_breach_of_what_is_agreed_no_longer_is_over() -> None:
    gone = replace(BREACH, objective="packet-loss")
    (closed,) = steps(doing([0] * 288, gone))
    assert isinstance(closed, Close)
    (closed,) = retired_steps([BREACH, replace(BREACH, objective="x", ended_s=9)], NOW_S)
    assert isinstance(closed, Close)
    assert "retired" in closed.evidence
