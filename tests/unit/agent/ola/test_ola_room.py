"""Agreements on one node: changes, windows, signatures and what the router follows; the log is of one process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from tests.fakes.certificates import CLUSTER, CertificateAuthority
from tests.unit.agent.learning.bench import call, identity_of, mesh_home
from tests.unit.core.ola_machine.agreed import EVERYTHING, LEDGER, PAYMENTS, header

from weftmesh.agent.board.machine_log import MachineLog
from weftmesh.agent.ola.changing import Changes
from weftmesh.agent.ola.clock_doubt import QUIET_S, ClockDoubt
from weftmesh.agent.ola.following import Following
from weftmesh.agent.ola.replica import Replica
from weftmesh.agent.ola.signing import WindowSigner
from weftmesh.core.board.outcomes import OutcomeKind
from weftmesh.core.clock import HybridClock
from weftmesh.core.errors import ConflictError, InvalidInputError, PreconditionError
from weftmesh.core.ola.model import Agreement, Dependency, Exclusion, PacketLoss
from weftmesh.core.ola.replicated.commands import ApplyAgreements, NewGeneration, RecordWindow
from weftmesh.core.ola.replicated.outcomes import OlaOutcome
from weftmesh.core.ola.replicated.rows import LATE_S, ConfirmedAgreement, ObjectiveCount
from weftmesh.core.ola.replicated.statement import window_statement
from weftmesh.ola.v1 import command_pb2, ola_pb2
from weftmesh.runtime.clock import wall_ms
from weftmesh.runtime.wire.learning_records import fill
from weftmesh.runtime.wire.ola_agreements import agreement_message
from weftmesh.runtime.wire.ola_views import agreements_view, history_view

WINDOW = wall_ms() // 300_000 * 300 - 300
"""The newest one that is over."""
COUNT = ObjectiveCount("payments-api", "uptime", 299, 300)


class Bench:
    """What a node does for agreements, without the gRPC around it."""

    def __init__(self) -> None:
        home, self.engine = mesh_home()
        self.certificate = CertificateAuthority().node("n1")
        self.replica = Replica(home)
        signer = WindowSigner(identity_of(self.certificate), CLUSTER, self.replica)
        log = MachineLog(self.engine, "ola", OlaOutcome)
        self.changes = Changes("n1", self.replica, log, HybridClock(), signer)

    async def change(self, *, validate_only: bool = False, **change: Any) -> ola_pb2.ChangeAgreementsResponse:
        request = ola_pb2.ChangeAgreementsRequest(validate_only=validate_only, **change)
        return await self.changes.change(request, call())

    async def apply(
        self, *agreements: Agreement, seen: int = 0, validate_only: bool = False
    ) -> ola_pb2.ChangeAgreementsResponse:
        news = [command_pb2.NewGeneration(agreement=agreement_message(one), seen=seen) for one in agreements]
        change = command_pb2.ApplyAgreements(agreements=news)
        return await self.change(apply_agreements=change, validate_only=validate_only)

    async def record(self, *counts: ObjectiveCount) -> ola_pb2.ChangeAgreementsResponse:
        request = ola_pb2.RecordWindowRequest(starts_s=WINDOW)
        for one in counts:
            fill(request.counts.add(), one)
        return await self.changes.record(request, call())

    async def confirm(self) -> ola_pb2.ChangeAgreementsResponse:
        agreements = [command_pb2.ConfirmedAgreement(name="payments-api", generation=1, workflow=b"hash")]
        return await self.changes.confirm(ola_pb2.ConfirmWindowRequest(starts_s=WINDOW, agreements=agreements), call())


async def test_agreements_are_written_and_shown() -> None:
    bench = Bench()
    await bench.apply(
        EVERYTHING, replace(LEDGER, name="ledger"), replace(LEDGER, name="fx-a"), replace(LEDGER, name="fx-b")
    )
    view = agreements_view(bench.replica.agreements, "", all_generations=False, event_limit=20)
    assert [one.name for one in view.generations] == ["payments-api", "ledger", "fx-a", "fx-b"]
    assert view.generations[0].agreement == agreement_message(EVERYTHING)


async def test_a_change_that_is_only_looked_at_writes_nothing() -> None:
    bench = Bench()
    answer = await bench.apply(PAYMENTS, validate_only=True)
    assert (answer.kind, answer.revision) == (OutcomeKind.APPLIED, 1)
    assert bench.engine.proposals == []
    await bench.apply(PAYMENTS)
    with pytest.raises(ConflictError, match="is at generation 1, not 0"):
        await bench.apply(replace(PAYMENTS, consumer="x"), validate_only=True)


@pytest.mark.parametrize(
    ("agreements", "why"),
    [
        ([replace(PAYMENTS, depends_on=(Dependency(("nobody",)),))], "nobody"),
        ([replace(PAYMENTS, depends_on=(Dependency(("payments-api",)),))], "depends on itself"),
        ([replace(PAYMENTS, exclusions=(Exclusion("x", "2026-11-22T02:00:00", 7_200, "Mars/Olympus"),))], "Mars"),
    ],
)
async def test_agreements_that_make_no_sense_do_not_enter_the_log(agreements: Sequence[Agreement], why: str) -> None:
    bench = Bench()
    with pytest.raises(InvalidInputError, match=why):
        await bench.apply(*agreements)
    assert bench.engine.proposals == []


async def test_an_exclusion_that_nobody_can_read_does_not_enter_the_log() -> None:
    bench = Bench()
    await bench.apply(PAYMENTS)
    change = command_pb2.AddExclusion(name="payments-api")
    fill(change.exclusion, Exclusion("patching", "2026-11-22T02:00:00", 7_200, "UTC", "FREQ=SOMETIMES"))
    with pytest.raises(InvalidInputError, match="rrule"):
        await bench.change(add_exclusion=change)
    assert len(bench.engine.proposals) == 1


async def test_an_exclusion_is_judged_by_itself() -> None:
    """The agreement may have been applied by a release that took more."""
    bench = Bench()
    idle = replace(PAYMENTS, objectives=(PacketLoss(1_000_000_000),))
    assert bench.replica.agreements.apply(ApplyAgreements(header(), (NewGeneration(idle, 0),)))[0].ok
    change = command_pb2.AddExclusion(name="payments-api")
    fill(change.exclusion, Exclusion("storm", "2026-11-22T02:00:00", 7_200))
    assert (await bench.change(add_exclusion=change)).number == 1


async def test_an_exclusion_has_an_author() -> None:
    bench = Bench()
    await bench.apply(PAYMENTS)
    for author in ("", "bob"):
        change = command_pb2.AddExclusion(name="payments-api")
        fill(change.exclusion, Exclusion(f"by {author}", "2026-11-22T02:00:00", 7_200, author=author))
        await bench.change(add_exclusion=change)
    added = bench.replica.agreements.read.exclusions("payments-api")
    assert [one.author for one in added] == [call().caller.actor, "bob"]


async def test_a_window_is_recorded_once_and_its_confirmation_is_signed_by_the_node_s_certificate() -> None:
    bench = Bench()
    await bench.apply(PAYMENTS)
    with pytest.raises(PreconditionError, match="record it first"):
        await bench.confirm()
    assert (await bench.record(COUNT)).kind == OutcomeKind.APPLIED
    assert (await bench.record(replace(COUNT, good=0))).kind == OutcomeKind.UNCHANGED
    (missing,) = shown(bench).missing
    assert (missing.node, missing.starts_s) == ("n1", WINDOW)

    await bench.confirm()
    history = shown(bench)
    assert not history.missing
    (confirmation,) = history.confirmations
    agreements = [ConfirmedAgreement("payments-api", 1, b"hash")]
    statement = window_statement(CLUSTER, "n1", WINDOW, agreements, [COUNT])
    key = x509.load_pem_x509_certificate(bench.certificate.certificate_pem).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify(confirmation.signature, statement, ec.ECDSA(SHA256()))


def shown(bench: Bench) -> ola_pb2.History:
    machine = bench.replica.agreements
    generation = machine.read.generation("payments-api")
    assert generation is not None
    return history_view(machine, generation, 0)


async def test_a_node_whose_clock_is_wrong_by_years_does_not_end_the_account_of_the_others() -> None:
    bench = Bench()
    await bench.apply(PAYMENTS)
    years_s = 10 * 365 * 86_400 // 300 * 300
    of_others = RecordWindow(header(at_s=WINDOW), "n2", WINDOW - years_s, (COUNT,))
    assert bench.replica.agreements.apply(of_others)[0].ok
    with pytest.raises(PreconditionError, match=r"3650.0 days after the newest one of another node") as refused:
        await bench.record(COUNT)
    assert refused.value.reason == "WINDOW_AHEAD"
    assert bench.replica.agreements.read.newest_s == WINDOW - years_s


def test_the_others_are_believed_while_they_go_on_counting() -> None:
    doubt = ClockDoubt()
    doubt.check(10 * LATE_S, 0, 0.0)  # nobody else counts
    doubt.check(LATE_S + 300, 300, 0.0)
    for others_s, now_s in ((300, 0.0), (300, QUIET_S - 1), (600, QUIET_S), (600, 2 * QUIET_S - 1)):
        with pytest.raises(PreconditionError):
            doubt.check(10 * LATE_S, others_s, now_s)
    doubt.check(10 * LATE_S, 600, 2 * QUIET_S)  # the mesh stood still


async def test_a_history_is_of_its_agreement_alone() -> None:
    """A node signs for hundreds of agreements in each window, and each of them is asked for one by one."""
    bench = Bench()
    await bench.apply(PAYMENTS, LEDGER)
    await bench.record(replace(COUNT, name="ledger"), COUNT, replace(COUNT, objective="response-time-p99"))
    agreements = [
        command_pb2.ConfirmedAgreement(name=one, generation=1, workflow=b"hash") for one in ("ledger", "payments-api")
    ]
    request = ola_pb2.ConfirmWindowRequest(starts_s=WINDOW, agreements=agreements)
    await bench.changes.confirm(request, call())
    history = shown(bench)
    (confirmation,), (window,) = history.confirmations, history.windows
    assert [one.name for one in confirmation.agreements] == ["payments-api"]
    assert [(one.name, one.objective) for one in window.counts] == [
        ("payments-api", "response-time-p99"),
        ("payments-api", "uptime"),
    ]


async def test_a_follower_gets_what_it_does_not_have_and_no_more() -> None:
    bench = Bench()
    following = Following(bench.replica)
    changes = following.follow(0)
    first = await anext(changes)
    assert (first.everything, list(first.agreements)) == (True, [])

    await bench.apply(PAYMENTS, LEDGER)
    second = await soon(changes)
    assert [one.agreement.name for one in second.agreements] == ["payments-api", "ledger"]
    assert list(second.in_force.names) == ["ledger", "payments-api"]

    drain = command_pb2.SetOverride(
        route="payments", kind=command_pb2.OVERRIDE_KIND_DRAIN, why="disk", endpoint="pay-1"
    )
    await bench.change(set_override=drain)
    third = await soon(changes)
    assert not third.agreements
    assert [one.endpoint for one in third.controls.overrides] == ["pay-1"]

    await bench.record(COUNT)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(changes), 0.1)

    resumed = following.follow(second.revision)
    caught_up = await anext(resumed)
    assert (caught_up.everything, list(caught_up.agreements)) == (False, [])
    assert list(caught_up.in_force.names) == ["ledger", "payments-api"]
    assert len(caught_up.controls.overrides) == 1

    from_the_future = await anext(following.follow(1_000))
    assert from_the_future.everything
    assert len(from_the_future.agreements) == 2


async def soon(changes: AsyncIterator[ola_pb2.AgreementsChange]) -> ola_pb2.AgreementsChange:
    async with asyncio.timeout(10):
        return await anext(changes)
