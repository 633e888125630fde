"""Agreements, commands and rows as bytes, and back."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.core.ola_machine.agreed import (
    EVERYTHING,
    LEDGER,
    PAYMENTS,
    applied,
    applying,
    confirming,
    header,
    window,
)

from weftmesh.core.errors import DataCorruptionError, InvalidInputError
from weftmesh.core.ola.model import Exclusion, RouteMode, ServiceClass
from weftmesh.core.ola.replicated.commands import (
    AddExclusion,
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
from weftmesh.core.ola.replicated.rows import EndpointWeight, OverrideKind
from weftmesh.ola.v1 import agreement_pb2
from weftmesh.ola.v1.command_pb2 import OlaCommand
from weftmesh.runtime.wire.ola_agreements import agreement_message, agreement_of
from weftmesh.runtime.wire.ola_commands import decode_ola_command, encode_ola_command
from weftmesh.runtime.wire.ola_rows import ola_from_rows, ola_rows

COMMANDS: tuple[Command, ...] = (
    applying(EVERYTHING, LEDGER, replace(LEDGER, name="rates")),
    applying(retire=(Retirement("rates", 1),), why="over"),
    AddExclusion(header(3, 4), "payments-api", Exclusion("patching", "2026-11-22T02:00:00", 7_200)),
    window("n1", 0),
    confirming("n1", 0),
    SetOverride(header(), "payments", OverrideKind.MODE, "trust it", mode=RouteMode.ACT),
    SetOverride(header(), "payments", OverrideKind.DRAIN, "disk", endpoint="pay-1"),
    SetWeights(
        header(), "payments", 0, (EndpointWeight("pay-1", 1_000_000_000), EndpointWeight("pay-2", 0)), "slow", b"{}"
    ),
    SetClass(header(), "payments-api", ServiceClass.CRITICAL, "burns"),
    OpenBreach(header(), "payments-api", "uptime", 1_000, "14x\nover an hour"),
    CloseBreach(header(), "payments-api", "uptime", 1_000, 2_000, "0.3x"),
    OpenBreach(header(), "payments-api", "uptime", 3_000, "9x"),
)
OTHERS: tuple[Command, ...] = (
    SetWeights(header(), "payments", 1, (), "it is over"),
    RemoveExclusion(header(), "payments-api", 1, "it did not happen"),
    ClearOverride(header(), "payments", OverrideKind.DRAIN, "disk is new", endpoint="pay-1"),
)


@pytest.mark.parametrize("command", COMMANDS + OTHERS)
def test_a_command_comes_back_from_its_bytes(command: Command) -> None:
    data = encode_ola_command(command).SerializeToString(deterministic=True)
    assert decode_ola_command(OlaCommand.FromString(data)) == command


def test_a_command_of_a_kind_that_nobody_knows_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="upgrade this node"):
        decode_ola_command(OlaCommand(actor="ann@n1", stamp=1))


@pytest.mark.parametrize("agreement", [EVERYTHING, PAYMENTS, LEDGER])
def test_an_agreement_comes_back_from_its_message(agreement: object) -> None:
    assert agreement_of(agreement_message(agreement)) == agreement  # type: ignore[arg-type]  # it is one


def test_an_agreement_with_fields_of_a_newer_release_is_refused() -> None:
    message = agreement_message(EVERYTHING)
    message.endpoints[0].MergeFromString(b"\xfa\x07\x01x")
    with pytest.raises(InvalidInputError, match=r"Endpoint has fields that this node does not know \(127\)"):
        agreement_of(message)


def test_an_objective_of_a_kind_that_nobody_knows_is_refused() -> None:
    message = agreement_message(PAYMENTS)
    message.objectives.add()
    with pytest.raises(InvalidInputError, match="objectives: one is of no kind"):
        agreement_of(message)


def test_a_part_that_is_missing_is_named() -> None:
    with pytest.raises(InvalidInputError, match="service_class: 0 is not one this version knows"):
        agreement_of(agreement_pb2.Agreement(name="payments-api"))


@pytest.mark.parametrize("commands", [COMMANDS, COMMANDS + OTHERS], ids=["set", "taken back"])
def test_a_machine_comes_back_from_its_rows(commands: tuple[Command, ...]) -> None:
    machine = applied(*commands)
    state = machine.freeze()
    restored = ola_from_rows(ola_rows(state))
    restored.check()
    assert restored.freeze() == state
    assert list(ola_rows(restored.freeze())) == list(ola_rows(state))


def test_an_empty_machine_has_no_rows_and_comes_back_from_none() -> None:
    assert list(ola_rows(applied().freeze())) == []
    assert ola_from_rows([]).revision == 0


def test_rows_that_were_changed_are_found() -> None:
    rows = list(ola_rows(applied(*COMMANDS).freeze()))
    for wrong in (rows[:-3], rows[1:], [*rows, rows[-2]], [*rows, b"\xff"]):
        with pytest.raises(DataCorruptionError):
            ola_from_rows(wrong)
