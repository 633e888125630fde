"""The graph of steps: its shape, its waves and its hash."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.core.ola.agreements import agreement, hard, hours, p99, ppb, soft

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.ola.model import (
    Agreement,
    Endpoint,
    Exclusion,
    OpenTask,
    PacketLoss,
    Probe,
    ProbeKind,
    RaiseClass,
    RouteMode,
    RouteSettings,
    ServiceClass,
    Throughput,
    Uptime,
)
from weftmesh.core.workflow.building import workflow
from weftmesh.core.workflow.canonical import canonical_bytes
from weftmesh.core.workflow.model import Step, StepKind, Workflow

PAYMENTS = agreement(
    "payments-api",
    "99.95",
    hard("ledger"),
    soft("rates"),
    service="payments",
    objectives=(Uptime(ppb("99.95")), p99(60), PacketLoss(ppb("0.5")), Throughput(ppb("99"), 200, 1000)),
    probes=(Probe(ProbeKind.HTTP, 1000, 300, "/healthz"), Probe(ProbeKind.TCP, 5000, 300)),
    endpoints=(Endpoint("pay-1", "10.0.0.11:8443", 4, "a"), Endpoint("pay-2", "10.0.0.12:8443", 4, "b")),
    hours=hours(7, 19),
    exclusions=(Exclusion("patching", "2024-01-01T00:00:00", 7200, "Europe/Berlin", "FREQ=WEEKLY;BYDAY=SU;BYHOUR=2"),),
    on_breach=(RaiseClass(ServiceClass.CRITICAL), OpenTask("OPS", "payments burns its budget")),
)
LEDGER = agreement("ledger", "99.9", probes=(Probe(ProbeKind.GRPC, 1000, 300),))
RATES = agreement("rates", "99")


def step(graph: Workflow, step_id: str) -> Step:
    return next(one for one in graph.steps if one.id == step_id)


def test_an_objective_goes_from_probes_to_its_confirmation() -> None:
    graph = workflow([replace(LEDGER, service="books")])
    assert {one.id: (one.kind, one.needs) for one in graph.steps} == {
        "ledger/probe/grpc": (StepKind.PROBE, ()),
        "ledger/aggregate/uptime": (StepKind.AGGREGATE, ("ledger/probe/grpc",)),
        "ledger/evaluate/uptime": (StepKind.EVALUATE, ("ledger/aggregate/uptime",)),
        "route books/decide": (StepKind.DECIDE, ("ledger/evaluate/uptime",)),
        "route books/apply": (StepKind.APPLY, ("route books/decide",)),
        "ledger/confirm/uptime": (StepKind.CONFIRM, ("ledger/evaluate/uptime", "route books/apply")),
    }


def test_waves_are_the_kinds_in_order_where_nothing_depends_on_another() -> None:
    graph = workflow([LEDGER, RATES, replace(PAYMENTS, depends_on=())])
    assert [{step(graph, one).kind for one in wave} for wave in graph.waves] == [
        {StepKind.PROBE, StepKind.AGGREGATE},
        {StepKind.AGGREGATE, StepKind.EVALUATE},
        {StepKind.EVALUATE, StepKind.DECIDE},
        {StepKind.DECIDE, StepKind.APPLY},
        {StepKind.APPLY, StepKind.CONFIRM},
        {StepKind.CONFIRM},
    ], "rates has no probe, and is a wave ahead"


def test_a_cause_is_evaluated_before_its_effect_and_a_soft_one_is_none() -> None:
    graph = workflow([PAYMENTS, LEDGER, RATES])
    assert step(graph, "payments-api/evaluate/uptime").needs == (
        "ledger/evaluate/uptime",
        "payments-api/aggregate/uptime",
    )
    assert step(graph, "payments-api/evaluate/packet-loss").needs == ("payments-api/aggregate/packet-loss",)


def test_agreements_about_one_service_share_its_route() -> None:
    graph = workflow([replace(LEDGER, service="pay"), replace(RATES, service="pay")])
    assert step(graph, "route pay/decide").needs == ("ledger/evaluate/uptime", "rates/evaluate/uptime")
    assert sum(one.kind is StepKind.APPLY for one in graph.steps) == 1


def test_a_circle_and_a_name_twice_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="a/evaluate/uptime > b/evaluate/uptime > a/evaluate/uptime"):
        workflow([agreement("a", "99", hard("b")), agreement("b", "99", hard("a"))])
    with pytest.raises(InvalidInputError, match="two agreements are named a"):
        workflow([agreement("a", "99"), agreement("a", "98")])


def test_the_same_agreements_have_this_hash_on_every_machine() -> None:
    """It changes only together with the format's number in canonical.py."""
    graph = workflow([PAYMENTS, LEDGER, RATES])
    assert graph.sha256 == "ddb75df4be4fe2da2ff323e3c65d363f758df76aeb21da7b593e601b487a4331"
    assert canonical_bytes(graph.steps).isascii()


def test_the_order_of_files_and_lists_does_not_change_the_hash() -> None:
    turned = replace(
        PAYMENTS,
        objectives=PAYMENTS.objectives[::-1],
        probes=PAYMENTS.probes[::-1],
        endpoints=PAYMENTS.endpoints[::-1],
        depends_on=PAYMENTS.depends_on[::-1],
        on_breach=PAYMENTS.on_breach[::-1],
    )
    assert workflow([RATES, turned, LEDGER]) == workflow([PAYMENTS, LEDGER, RATES])


@pytest.mark.parametrize(
    "other",
    [
        replace(PAYMENTS, labels=(("team", "x"),)),
        replace(PAYMENTS, review="2030-01-01"),
        replace(PAYMENTS, depends_on=(hard("ledger"),)),
    ],
)
def test_what_changes_no_step_does_not_change_the_hash(other: Agreement) -> None:
    assert workflow([other, LEDGER]).sha256 == workflow([PAYMENTS, LEDGER]).sha256


@pytest.mark.parametrize(
    "other",
    [
        replace(PAYMENTS, provider="x"),
        replace(PAYMENTS, window_s=86_400),
        replace(PAYMENTS, service_class=ServiceClass.BATCH),
        replace(PAYMENTS, hours=hours(7, 20)),
        replace(PAYMENTS, exclusions=()),
        replace(PAYMENTS, on_breach=()),
        replace(PAYMENTS, route=RouteSettings(RouteMode.ACT)),
        replace(PAYMENTS, endpoints=PAYMENTS.endpoints[:1]),
        replace(PAYMENTS, objectives=(p99(61), *PAYMENTS.objectives[2:])),
        replace(PAYMENTS, probes=(replace(PAYMENTS.probes[0], tls=True), PAYMENTS.probes[1])),
        replace(PAYMENTS, depends_on=()),
    ],
)
def test_what_changes_a_step_changes_the_hash(other: Agreement) -> None:
    assert workflow([other, LEDGER]).sha256 != workflow([PAYMENTS, LEDGER]).sha256


@st.composite
def meshes(draw: st.DrawFn) -> list[Agreement]:
    """Agreements without circles: each needs earlier ones."""
    found: list[Agreement] = []
    for at in range(draw(st.integers(1, 6))):
        below = [one.name for one in found]
        needs = draw(st.lists(st.sampled_from(below), max_size=3, unique=True)) if below else []
        promised = draw(st.sampled_from(["99", "99.9"]))
        found.append(agreement(f"a{at}", promised, *map(hard, needs), service=draw(st.sampled_from(["s", "t"]))))
    return found


@settings(max_examples=40, deadline=None)
@given(meshes(), st.integers())
def test_every_step_is_in_one_wave_and_after_all_that_it_needs(mesh: list[Agreement], seed: int) -> None:
    graph = workflow(mesh)
    wave_of = {step_id: number for number, wave in enumerate(graph.waves) for step_id in wave}
    assert sorted(wave_of) == [one.id for one in graph.steps]
    for one in graph.steps:
        assert wave_of[one.id] == max((wave_of[need] + 1 for need in one.needs), default=0)
    random.Random(seed).shuffle(mesh)
    assert workflow(mesh) == graph
