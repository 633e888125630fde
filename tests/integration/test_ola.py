"""Agreements between real nodes: what is applied on one is seen on all, and survives the one that leads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.core.ola_machine.agreed import LEDGER, PAYMENTS

from weftmesh.cli.dev_mesh import DevMesh
from weftmesh.core.ola.model import Agreement
from weftmesh.ola.v1 import command_pb2, ola_pb2
from weftmesh.runtime.clock import wall_ms
from weftmesh.runtime.wire.ola_agreements import agreement_message

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240), pytest.mark.asyncio(loop_scope="module")]

CALL_S = 60.0


def applying(*agreements: Agreement, seen: int = 0) -> ola_pb2.ChangeAgreementsRequest:
    news = [command_pb2.NewGeneration(agreement=agreement_message(one), seen=seen) for one in agreements]
    return ola_pb2.ChangeAgreementsRequest(apply_agreements=command_pb2.ApplyAgreements(agreements=news))


async def next_with_controls(changes: AsyncIterator[ola_pb2.AgreementsChange]) -> Any:
    async with asyncio.timeout(CALL_S):
        async for change in changes:
            if change.HasField("controls") and change.controls.overrides:
                return change.controls
    raise AssertionError("the watch ended")


async def test_what_is_agreed_and_counted_is_on_all_nodes_and_survives_the_leader(mesh: DevMesh) -> None:
    leader = mesh.node(await mesh.settled())
    writer, reader = [node for node in mesh.nodes.values() if node is not leader]
    window = wall_ms() // 300_000 * 300 - 300
    async with leader.client() as at_leader, writer.client() as at_writer, reader.client() as at_reader:
        applied = await at_writer.ola.change_agreements(applying(PAYMENTS, LEDGER), timeout_s=CALL_S)
        request = ola_pb2.GetAgreementsRequest(min_revision=applied.revision)
        view = await at_reader.ola.get_agreements(request, timeout_s=CALL_S)
        assert [one.name for one in view.generations] == ["payments-api", "ledger"]
        for good, client in enumerate((at_leader, at_writer, at_reader)):
            count = command_pb2.ObjectiveCount(name="payments-api", objective="uptime", good=good, total=10)
            recorded = await client.ola.record_window(window, [count], timeout_s=CALL_S)
        changes = at_reader.ola.watch_agreements()
        freeze = command_pb2.SetOverride(kind=command_pb2.OVERRIDE_KIND_FREEZE, why="incident")
        await at_writer.ola.change_agreements(ola_pb2.ChangeAgreementsRequest(set_override=freeze), timeout_s=CALL_S)
        controls = await next_with_controls(changes)
        assert [one.why for one in controls.overrides] == ["incident"]
        await changes.aclose()
        confirmed = [command_pb2.ConfirmedAgreement(name="payments-api", generation=1, workflow=b"hash")]
        await at_writer.ola.confirm_window(window, confirmed, timeout_s=CALL_S)

    await mesh.kill(leader.name)
    await mesh.settled()
    async with writer.client() as at_writer, reader.client() as at_reader:
        another = applying(replace(PAYMENTS, consumer="others"), seen=1)
        changed = await at_reader.ola.change_agreements(another, timeout_s=CALL_S)
        assert changed.revision > recorded.revision
        request = ola_pb2.GetAgreementsRequest(min_revision=changed.revision, all_generations=True, name="payments-api")
        view = await at_writer.ola.get_agreements(request, timeout_s=CALL_S)
        assert [one.number for one in view.generations] == [1, 2]
        history = await at_writer.ola.get_history("payments-api", timeout_s=CALL_S)
        (part,) = history.objectives[0].parts
        assert (part.good, part.total) == (3, 30)
        assert {one.node for one in history.confirmations} == {writer.name}
        assert {one.node for one in history.missing} == {leader.name, reader.name}
