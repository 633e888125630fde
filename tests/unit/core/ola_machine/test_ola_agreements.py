"""Agreements in the replicated state: sets, generations, what does not count, classes, routes, breaches."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.core.ola_machine.agreed import EVERYTHING, LEDGER, PAYMENTS, applied, applying, header, last, window

from weftmesh.core.board.outcomes import OutcomeKind
from weftmesh.core.ola.model import Dependency, Endpoint, Exclusion, RouteMode, ServiceClass
from weftmesh.core.ola.replicated.commands import (
    AddExclusion,
    ApplyAgreements,
    ClearOverride,
    CloseBreach,
    Command,
    OpenBreach,
    RemoveExclusion,
    Retirement,
    SetClass,
    SetOverride,
    SetWeights,
)
from weftmesh.core.ola.replicated.machine import Agreements
from weftmesh.core.ola.replicated.outcomes import Reason, Verb
from weftmesh.core.ola.replicated.rows import EndpointWeight, Generation, Limits, OverrideKind

PATCHING = Exclusion("patching", "2026-11-22T02:00:00", 7_200, author="ann@n1")


def test_a_set_is_applied_at_once_or_not_at_all() -> None:
    machine = applied(applying(PAYMENTS))
    outcome, events = last(machine, applying(replace(PAYMENTS, consumer="others"), LEDGER))
    assert (outcome.kind, outcome.reason) == (OutcomeKind.COLLISION, Reason.GENERATION_CONFLICT)
    assert (events, machine.read.generation("ledger"), machine.revision) == ((), None, 1)
    assert outcome.current_version == 1


def test_an_agreement_that_says_the_same_keeps_its_generation() -> None:
    machine = applied(applying(PAYMENTS))
    outcome, events = last(machine, applying(PAYMENTS, seen=1))
    assert (outcome.kind, events) == (OutcomeKind.UNCHANGED, ())
    assert machine.read.generation("payments-api").number == 1  # type: ignore[union-attr]  # it is there


def test_the_latest_generations_are_kept() -> None:
    machine = Agreements()
    for number in range(Limits.GENERATIONS_KEPT + 3):
        last(machine, applying(replace(PAYMENTS, consumer=f"team-{number}"), seen=number))
    numbers = [one.number for one in machine.read.generations("payments-api")]
    assert numbers == list(range(4, Limits.GENERATIONS_KEPT + 4))


def test_what_is_retired_goes_on_counting_generations_when_it_comes_back() -> None:
    machine = applied(applying(PAYMENTS, LEDGER))
    retirement = applying(seen=1, retire=(Retirement("ledger", 1),), why="nobody asks for it")
    assert [event.verb for event in last(machine, retirement)[1]] == [Verb.RETIRED]
    assert [one.name for one in machine.read.in_force()] == ["payments-api"]
    assert last(machine, applying(LEDGER))[0].reason is Reason.GENERATION_CONFLICT
    last(machine, applying(LEDGER, seen=1))
    assert machine.read.generation("ledger").number == 2  # type: ignore[union-attr]  # it is there


def test_what_two_people_apply_at_once_is_judged_together() -> None:
    """Each of the two is good beside what both of them saw."""
    machine = applied(applying(PAYMENTS, LEDGER))
    needs_ledger = replace(PAYMENTS, depends_on=(Dependency(("ledger",)),))
    assert last(machine, applying(needs_ledger, seen=1))[0].ok
    needs_payments = replace(LEDGER, depends_on=(Dependency(("payments-api",)),))
    for late in (
        applying(needs_payments, seen=1),
        applying(retire=(Retirement("ledger", 1),), why="not needed"),
        applying(replace(PAYMENTS, name="other", endpoints=(Endpoint("x", "h:1"),))),
    ):
        outcome, events = last(machine, late)
        assert (outcome.kind, outcome.reason, events) == (OutcomeKind.COLLISION, Reason.CONTRADICTION, ())
    assert last(machine, applying(replace(LEDGER, review="2027-01-01"), seen=1))[0].ok


def test_what_is_wrong_already_stops_nobody_from_mending_something_else() -> None:
    """A state of an earlier release may hold a circle."""
    state = applied(applying(PAYMENTS, LEDGER)).freeze()
    needs = {"ledger": "payments-api", "payments-api": "ledger"}
    rows = tuple(
        replace(one, agreement=replace(one.agreement, depends_on=(Dependency((needs[one.name],)),)))
        if isinstance(one, Generation)
        else one
        for one in state.rows
    )
    machine = Agreements.thaw(replace(state, rows=rows))
    assert last(machine, applying(replace(LEDGER, name="rates")))[0].ok
    assert last(machine, applying(LEDGER, seen=1))[0].ok, "the circle is broken"


def test_a_class_that_is_agreed_meanwhile_is_raised_no_longer() -> None:
    machine = applied(applying(PAYMENTS), SetClass(header(), "payments-api", ServiceClass.CRITICAL, "burns 14x"))
    last(machine, applying(replace(PAYMENTS, service_class=ServiceClass.BATCH), seen=1))
    assert machine.read.class_of("payments-api") is ServiceClass.CRITICAL, "it burns still"
    last(machine, applying(replace(PAYMENTS, service_class=ServiceClass.CRITICAL), seen=2))
    standing = machine.read.standing("payments-api")
    assert standing is not None
    assert (standing.raised_to, standing.raised_why) == (0, "")


def test_of_what_was_retired_long_ago_nothing_is_left() -> None:
    machine = applied(applying(LEDGER), window("n1", 0))
    for number in range(Limits.RETIRED_KEPT + 1):
        name = f"one-{number}"
        last(machine, applying(replace(LEDGER, name=name)))
        machine.apply(applying(retire=(Retirement(name, 1),), why="over"))
    machine.check()
    assert machine.read.standing("one-0") is None
    assert machine.read.generations("one-0") == ()
    assert machine.read.standing("one-1") is not None


@pytest.mark.parametrize(
    "command",
    [
        applying(replace(PAYMENTS, name="Payments API")),
        applying(replace(PAYMENTS, objectives=())),
        applying(replace(PAYMENTS, objectives=PAYMENTS.objectives * 2)),
        applying(replace(PAYMENTS, window_s=0)),
        applying(PAYMENTS, PAYMENTS),
        ApplyAgreements(header(), ()),
    ],
)
def test_what_is_out_of_bounds_is_refused(command: Command) -> None:
    machine = Agreements()
    outcome, events = last(machine, command)
    assert (outcome.kind, outcome.reason, events) == (OutcomeKind.INVALID, Reason.INVALID_VALUE, ())
    assert machine.revision == 0


def test_exclusions_are_numbered_and_taken_back() -> None:
    machine = applied(applying(EVERYTHING, LEDGER))
    assert last(machine, AddExclusion(header(), "payments-api", PATCHING))[0].current_version == 1
    assert last(machine, AddExclusion(header(), "payments-api", PATCHING))[0].kind is OutcomeKind.UNCHANGED
    assert machine.read.exclusions("payments-api") == (*EVERYTHING.exclusions, PATCHING)
    last(machine, RemoveExclusion(header(), "payments-api", 1, "it did not happen"))
    assert machine.read.exclusions("payments-api") == EVERYTHING.exclusions
    again = replace(PATCHING, reason="later")
    assert last(machine, AddExclusion(header(), "payments-api", again))[0].current_version == 2
    assert last(machine, RemoveExclusion(header(), "payments-api", 1, "x"))[0].reason is Reason.NO_SUCH_EXCLUSION


def test_a_class_is_raised_with_a_reason_and_never_below_what_was_agreed() -> None:
    machine = applied(applying(PAYMENTS))
    _, (event,) = last(machine, SetClass(header(), "payments-api", ServiceClass.CRITICAL, "burns 14x"))
    assert (event.verb, event.note) == (Verb.CLASS_RAISED, "normal to critical: burns 14x")
    assert machine.read.class_of("payments-api") is ServiceClass.CRITICAL
    _, (event,) = last(machine, SetClass(header(), "payments-api", ServiceClass.NORMAL, "calm again"))
    assert event.verb is Verb.CLASS_LOWERED
    outcome, _ = last(machine, SetClass(header(), "payments-api", ServiceClass.BATCH, "why not"))
    assert outcome.reason is Reason.CLASS


def test_a_breach_that_goes_on_outlives_its_agreement() -> None:
    """Whoever leads has to close its task first."""
    many = [replace(LEDGER, name=f"a{number}", service=f"a{number}") for number in range(Limits.RETIRED_KEPT + 20)]
    machine = applied(applying(*many), OpenBreach(header(), "a3", "uptime", 1_000, "14x"))
    last(machine, applying(retire=[Retirement(one.name, 1) for one in many], why="moved"))
    assert [one.name for one in machine.read.breaches()] == ["a3"]
    assert len(machine.read.standings()) == Limits.RETIRED_KEPT + 1
    last(machine, CloseBreach(header(), "a3", "uptime", 1_000, 2_000, "retired"))
    assert len(machine.read.standings()) == Limits.RETIRED_KEPT


def test_an_operator_drains_pins_freezes_and_sets_the_mode() -> None:
    machine = applied(applying(PAYMENTS))
    for command in (
        SetOverride(header(), "payments", OverrideKind.DRAIN, "disk", endpoint="pay-1"),
        SetOverride(header(), "", OverrideKind.FREEZE, "incident 12"),
        SetOverride(header(), "payments", OverrideKind.MODE, "trust it", mode=RouteMode.ACT),
    ):
        assert last(machine, command)[0].kind is OutcomeKind.APPLIED
        assert machine.apply(replace(command, header=header()))[0].kind is OutcomeKind.UNCHANGED
    assert [one.kind for one in machine.read.overrides()] == [
        OverrideKind.DRAIN,
        OverrideKind.FREEZE,
        OverrideKind.MODE,
    ]
    unknown = SetOverride(header(), "payments", OverrideKind.PIN, "x", endpoint="pay-9")
    assert last(machine, unknown)[0].reason is Reason.NO_SUCH_ENDPOINT
    cleared = ClearOverride(header(), "payments", OverrideKind.DRAIN, "disk is new", endpoint="pay-1")
    assert [event.verb for event in last(machine, cleared)[1]] == [Verb.OVERRIDE_CLEARED]
    assert last(machine, replace(cleared, header=header()))[0].kind is OutcomeKind.UNCHANGED


def test_weights_follow_each_other_and_go_with_their_route() -> None:
    machine = applied(applying(PAYMENTS, LEDGER))
    weights = (EndpointWeight("pay-2", 250_000_000), EndpointWeight("pay-1", 750_000_000))
    assert last(machine, SetWeights(header(), "payments", 0, weights, "slow disk"))[0].current_version == 1
    stale = SetWeights(header(), "payments", 0, weights, "slow disk")
    assert last(machine, stale)[0].reason is Reason.GENERATION_CONFLICT
    half = EndpointWeight("pay-1", 500_000_000)
    whole, elsewhere = replace(half, share_ppb=1_000_000_000), replace(half, endpoint="pay-9")
    for wrong in (weights[:1], (whole,), (half, half), (half, elsewhere), (replace(half, share_ppb=-1), whole)):
        refused, _ = last(machine, SetWeights(header(), "payments", 1, wrong, "slow disk"))
        assert refused.reason is Reason.INVALID_VALUE
    last(machine, applying(retire=(Retirement("payments-api", 1),), why="moved"))
    assert machine.read.weights("payments") is None


def test_weights_are_taken_back_once_and_no_generation_comes_twice() -> None:
    machine = applied(applying(PAYMENTS))
    taking_back = SetWeights(header(), "payments", 0, (), "it went well")
    assert last(machine, taking_back)[0].kind is OutcomeKind.UNCHANGED, "there are none"
    weights = (EndpointWeight("pay-1", 1_000_000_000), EndpointWeight("pay-2", 0))
    last(machine, SetWeights(header(), "payments", 0, weights, "canary"))
    outcome, events = last(machine, replace(taking_back, header=header(), seen=1))
    assert (outcome.current_version, events[0].note) == (2, "taken back: it went well")
    assert machine.read.weights("payments").weights == ()  # type: ignore[union-attr]  # it is there
    assert last(machine, replace(taking_back, header=header(), seen=2))[0].kind is OutcomeKind.UNCHANGED
    late = SetWeights(header(), "payments", 0, weights, "canary")
    assert last(machine, late)[0].reason is Reason.GENERATION_CONFLICT
    assert last(machine, replace(late, header=header(), seen=2))[0].current_version == 3


def test_a_breach_is_opened_once_whoever_leads() -> None:
    machine = applied(applying(PAYMENTS))
    first = OpenBreach(header(), "payments-api", "uptime", 1_000, "14x over an hour")
    assert len(last(machine, first)[1]) == 1
    assert last(machine, replace(first, header=header(), started_s=1_300))[0].kind is OutcomeKind.UNCHANGED
    closing = CloseBreach(header(), "payments-api", "uptime", 1_000, 2_000, "0.3x")
    assert len(last(machine, closing)[1]) == 1
    assert last(machine, replace(closing, header=header()))[0].kind is OutcomeKind.UNCHANGED
    assert last(machine, replace(first, header=header()))[0].kind is OutcomeKind.UNCHANGED
    assert len(last(machine, replace(first, header=header(), started_s=3_000))[1]) == 1
    unknown = replace(first, header=header(), objective="packet-loss")
    assert last(machine, unknown)[0].reason is Reason.NO_SUCH_OBJECTIVE


def test_a_retry_gets_the_first_answer() -> None:
    command = replace(applying(PAYMENTS), header=header(7, 1))
    machine = Agreements()
    outcome, _ = machine.apply(command)
    assert last(machine, command) == (outcome, ())
    assert last(machine, replace(command, header=header(7, 2)))[0].reason is Reason.REQUEST_REUSED


def test_a_preview_says_what_would_come_of_a_command_and_changes_nothing() -> None:
    machine = Agreements()
    before = machine.freeze()
    assert machine.preview(applying(PAYMENTS)).kind is OutcomeKind.APPLIED
    assert machine.freeze() == before


def test_a_story_tells_what_happened() -> None:
    machine = applied(
        applying(PAYMENTS, why="first"), SetClass(header(), "payments-api", ServiceClass.CRITICAL, "burns")
    )
    assert machine.story("payments-api").splitlines()[0].endswith("class critical, raised (burns)")
    assert "applied generation 1 (first) by ann@n1" in machine.story("payments-api")
    assert "nothing is known" in machine.story("nobody")
