"""Counts of nodes: any order is the same history, what comes twice counts once, and all of it is bounded."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.core.ola_machine.agreed import (
    LEDGER,
    NOON_S,
    PAYMENTS,
    applied,
    applying,
    confirming,
    header,
    last,
    uptime,
    window,
)

from weftmesh.core.board.outcomes import OutcomeKind
from weftmesh.core.ola.replicated.commands import Command, RecordWindow
from weftmesh.core.ola.replicated.history import TIERS, Part
from weftmesh.core.ola.replicated.machine import Agreements
from weftmesh.core.ola.replicated.outcomes import Reason
from weftmesh.core.ola.replicated.rows import DAY_S, LATE_S, WINDOW_S, ConfirmedAgreement, ObjectiveCount

APPLIED = applying(PAYMENTS, LEDGER)
LATE = LATE_S // WINDOW_S
windows = st.dictionaries(
    st.tuples(st.sampled_from(["n1", "n2", "n3"]), st.integers(0, LATE)),
    st.tuples(st.integers(0, 50), st.integers(0, 50), st.sampled_from(["payments-api", "ledger"])),
    max_size=20,
)
quick = settings(max_examples=40, deadline=None)


def recorded(found: dict[tuple[str, int], tuple[int, int, str]]) -> list[RecordWindow]:
    return [window(node, number, uptime(good, good + bad, name)) for (node, number), (good, bad, name) in found.items()]


@quick
@given(found=windows, randomness=st.randoms(use_true_random=False))
def test_windows_in_any_order_and_any_number_of_times_make_the_same_history(found, randomness) -> None:  # type: ignore[no-untyped-def]  # hypothesis gives them
    commands = recorded(found)
    one = applied(APPLIED, *commands)
    shuffled = [*commands, *randomness.choices(commands, k=5)] if commands else []
    randomness.shuffle(shuffled)
    other = applied(APPLIED, *[replace(command, header=header()) for command in shuffled])
    one.check()
    other.check()
    assert one.freeze().chunks == other.freeze().chunks
    assert one.read.newest_s == other.read.newest_s
    assert set(one.freeze().rows) == set(other.freeze().rows)


@quick
@given(found=windows)
def test_history_is_the_sum_over_nodes(found: dict[tuple[str, int], tuple[int, int, str]]) -> None:
    machine = applied(APPLIED, *recorded(found))
    for name in ("payments-api", "ledger"):
        parts = machine.read.parts(name, "uptime", 0, 2**40)
        counted = [(good, bad) for good, bad, of in found.values() if of == name]
        assert sum(one.good for one in parts) == sum(good for good, _ in counted)
        assert sum(one.total for one in parts) == sum(good + bad for good, bad in counted)


def test_old_parts_become_hours_then_days_and_no_event_is_lost_meanwhile() -> None:
    machine = applied(APPLIED, *[window("n1", number, uptime(9, 10)) for number in range(24)])
    assert len(machine.read.parts("payments-api", "uptime", 0, 2**40)) == 24
    later = NOON_S + 6 * DAY_S
    machine.apply(RecordWindow(header(), "n1", later, (uptime(1, 1),)))
    machine.check()
    assert machine.read.parts("payments-api", "uptime", 0, later) == (
        Part(NOON_S, 3_600, 108, 120),
        Part(NOON_S + 3_600, 3_600, 108, 120),
    )
    latest = NOON_S + 60 * DAY_S
    machine.apply(RecordWindow(header(at_s=latest + 300), "n1", latest, ()))
    machine.check()
    assert [one.part_s for one in machine.read.parts("payments-api", "uptime", 0, 2**40)] == [DAY_S, DAY_S]
    assert sum(one.good for one in machine.read.parts("payments-api", "uptime", 0, 2**40)) == 217


def test_a_year_of_windows_stays_within_bounds() -> None:
    machine = applied(APPLIED)
    for day in range(0, 800, 3):
        starts_s = NOON_S + day * DAY_S
        machine.apply(RecordWindow(header(at_s=starts_s + 300), "n1", starts_s, (uptime(1, 1),)))
    machine.check()
    state = machine.freeze()
    assert len(state.chunks) <= sum(tier.kept_s // tier.chunk_s + 2 for tier in TIERS)
    assert len(state.rows) < 20


def test_a_window_that_is_too_old_is_refused() -> None:
    machine = applied(APPLIED, window("n1", LATE + 1))
    assert last(machine, window("n2", 0))[0].reason is Reason.WINDOW_TOO_OLD
    assert last(machine, window("n2", 1))[0].kind is OutcomeKind.APPLIED


def test_a_window_that_is_not_over_is_refused() -> None:
    early = RecordWindow(header(at_s=NOON_S + WINDOW_S - 1), "n1", NOON_S, (uptime(1, 1),))
    assert last(applied(APPLIED), early)[0].reason is Reason.WINDOW_NOT_OVER


def test_counts_of_what_is_not_in_force_are_left_out() -> None:
    counts = (uptime(1, 2), uptime(1, 2, "gone"), ObjectiveCount("payments-api", "packet-loss", 1, 2))
    machine = applied(APPLIED, window("n1", 0, *counts))
    assert [one.counts for one in machine.read.windows()] == [(uptime(1, 2),)]


def test_what_is_counted_follows_the_generation_in_force() -> None:
    machine = applied(APPLIED, window("n1", 0, uptime(1, 2)))
    machine.apply(applying(replace(PAYMENTS, objectives=PAYMENTS.objectives[1:]), seen=1))
    machine.apply(window("n1", 1, uptime(1, 2)))
    assert [one.counts for one in machine.read.windows()] == [(uptime(1, 2),), ()]
    machine.apply(applying(PAYMENTS, seen=2))
    machine.apply(window("n1", 2, uptime(1, 2)))
    assert machine.read.windows()[-1].counts == (uptime(1, 2),)
    machine.check()


def test_counts_that_are_none_are_refused() -> None:
    machine = applied(APPLIED)
    for counts in ((uptime(3, 2),), (uptime(-1, 2),), (uptime(1, 2), uptime(1, 2)), (uptime(1, 2**41),)):
        assert last(machine, window("n1", 0, *counts))[0].reason is Reason.INVALID_VALUE


def test_a_node_confirms_what_it_has_recorded_once() -> None:
    machine = applied(APPLIED, window("n1", 0))
    assert last(machine, confirming("n2", 0))[0].reason is Reason.WINDOW_NOT_RECORDED
    assert last(machine, confirming("n1", 0))[0].kind is OutcomeKind.APPLIED
    assert last(machine, confirming("n1", 0, generation=2))[0].kind is OutcomeKind.UNCHANGED
    (confirmation,) = machine.read.confirmations()
    assert [one.generation for one in confirmation.agreements] == [1]


def test_agreements_that_nobody_can_have_judged_by_are_not_confirmed() -> None:
    machine = applied(APPLIED, window("n1", 0))
    good = ConfirmedAgreement("payments-api", 1, b"workflow")
    for agreements in (
        (replace(good, name="x" * 10**6),),
        (replace(good, generation=0),),
        (replace(good, workflow=b""),),
        (good, replace(good, generation=2)),
    ):
        outcome, _ = last(machine, replace(confirming("n1", 0), agreements=agreements))
        assert outcome.reason is Reason.INVALID_VALUE


def test_a_snapshot_at_any_point_goes_on_alike() -> None:
    commands: list[Command] = [
        APPLIED,
        *[window(f"n{number % 3}", number * 7) for number in range(60)],
        confirming("n2", 59 * 7),
    ]
    machine = Agreements()
    for cut, command in enumerate(commands):
        if cut % 9 == 0:
            machine = Agreements.thaw(machine.freeze())
        machine.apply(command)
    machine.check()
    assert machine.freeze() == applied(*commands).freeze()
