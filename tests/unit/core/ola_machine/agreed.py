"""Commands about a small agreement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import count

from weftmesh.core.board.commands import Header
from weftmesh.core.clock import ms_to_stamp
from weftmesh.core.ola.model import (
    Agreement,
    Dependency,
    Endpoint,
    Exclusion,
    Hours,
    OpenHours,
    OpenTask,
    PacketLoss,
    Probe,
    ProbeKind,
    RaiseClass,
    ResponseTime,
    ServiceClass,
    Throughput,
    Uptime,
)
from weftmesh.core.ola.replicated.commands import (
    ApplyAgreements,
    Command,
    Confirm,
    NewGeneration,
    RecordWindow,
    Retirement,
)
from weftmesh.core.ola.replicated.machine import Agreements
from weftmesh.core.ola.replicated.outcomes import OlaEvent, OlaOutcome
from weftmesh.core.ola.replicated.rows import WINDOW_S, ConfirmedAgreement, ObjectiveCount

NOON_S = 20_000 * 86_400 + 43_200
PAYMENTS = Agreement(
    name="payments-api",
    provider="team-payments",
    consumer="team-checkout",
    service="payments",
    objectives=(Uptime(999_500_000), ResponseTime(990_000_000, 60_000)),
    window_s=28 * 86_400,
    endpoints=(Endpoint("pay-1", "10.0.0.11:8443", 4, "a"), Endpoint("pay-2", "10.0.0.12:8443")),
)
LEDGER = replace(PAYMENTS, name="ledger", service="ledger", endpoints=())
EVERYTHING = replace(
    PAYMENTS,
    objectives=(*PAYMENTS.objectives, PacketLoss(5_000_000), Throughput(990_000_000, 200, 1_000)),
    service_class=ServiceClass.NORMAL,
    hours=Hours("Europe/Berlin", (OpenHours((0, 1, 2), 420, 1_140),)),
    probes=(Probe(ProbeKind.HTTP, 1_000, 300, "/healthz", tls=True),),
    depends_on=(Dependency(("ledger",)), Dependency(("fx-a", "fx-b"), hard=False)),
    on_breach=(RaiseClass(ServiceClass.CRITICAL), OpenTask("OPS", "payments burns its budget")),
    exclusions=(Exclusion("patching", "2026-11-22T02:00:00", 7_200, "Europe/Berlin", "FREQ=WEEKLY;BYDAY=SU"),),
    review="2027-03-01",
    labels=(("team", "payments"), ("tier", "1")),
)
_stamps = count(1)


def header(request: int = 0, digest: int = 0, *, at_s: int = NOON_S + 30 * 86_400) -> Header:
    """A header of its own stamp; the request id of `request`, none for 0."""
    stamp = ms_to_stamp(at_s * 1_000) + next(_stamps)
    return Header("ann@n1", stamp, request.to_bytes(16, "big") if request else b"", digest)


def applying(
    *agreements: Agreement, seen: int = 0, retire: Sequence[Retirement] = (), why: str = ""
) -> ApplyAgreements:
    return ApplyAgreements(header(), tuple(NewGeneration(one, seen) for one in agreements), tuple(retire), why)


def uptime(good: int, total: int, name: str = "payments-api") -> ObjectiveCount:
    return ObjectiveCount(name, "uptime", good, total)


def window(node: str, number: int, *counts: ObjectiveCount, request: int = 0) -> RecordWindow:
    """Of the window so many after noon."""
    return RecordWindow(header(request), node, NOON_S + number * WINDOW_S, counts or (uptime(299, 300),))


def confirming(node: str, number: int, generation: int = 1) -> Confirm:
    agreements = (ConfirmedAgreement("payments-api", generation, b"workflow"),)
    return Confirm(header(), node, NOON_S + number * WINDOW_S, agreements, b"signature")


def applied(*commands: Command) -> Agreements:
    """A machine that took all of them."""
    machine = Agreements()
    for command in commands:
        outcome, _ = machine.apply(command)
        assert outcome.ok, outcome.message
    return machine


def last(machine: Agreements, command: Command) -> tuple[OlaOutcome, tuple[OlaEvent, ...]]:
    """What came of a command; the machine's invariants hold after it."""
    result = machine.apply(command)
    machine.check()
    return result
