"""Agreements between real nodes: what is applied on one is seen on all, and survives the one that leads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from tests.integration.command_line import done, weftmesh
from tests.unit.core.ola_machine.agreed import LEDGER, PAYMENTS

from weftmesh.cli.dev_mesh import DevMesh
from weftmesh.cli.dev_node import DevNode
from weftmesh.cli.exit_codes import ExitCode
from weftmesh.core.errors import ForbiddenError
from weftmesh.core.ola.model import Agreement
from weftmesh.ola.v1 import command_pb2, ola_pb2, ola_pb2_grpc
from weftmesh.runtime.clock import wall_ms
from weftmesh.runtime.config import load_config
from weftmesh.runtime.identity.credentials import NodeIdentity, open_channel
from weftmesh.runtime.identity.founding import identity_store
from weftmesh.runtime.rpc import from_rpc_error
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
        signed = await at_writer.ola.confirm_window(window, confirmed, timeout_s=CALL_S)
        for client in (at_writer, at_reader):
            request = ola_pb2.GetAgreementsRequest(min_revision=signed.revision)
            await client.ola.get_agreements(request, timeout_s=CALL_S)
            history = await client.ola.get_history("payments-api", check_signatures=True, timeout_s=CALL_S)
            (check,) = history.checks
            assert (check.node, check.verdict) == (writer.name, ola_pb2.SIGNATURE_VERDICT_GENUINE), check.why

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
    await mesh.restart(leader.name)


async def test_a_member_reads_and_changes_nothing(mesh: DevMesh) -> None:
    node, to = list(mesh.nodes.values())[:2]
    identity = NodeIdentity(identity_store(load_config(node.config_path, environment={}).node.data_dir).load())
    async with open_channel(identity, to.name, to.listen) as channel:
        stub: Any = ola_pb2_grpc.OlaServiceStub(channel)
        await stub.GetAgreements(ola_pb2.GetAgreementsRequest(), timeout=CALL_S)
        for method, request in (
            (stub.ChangeAgreements, applying(LEDGER)),
            (stub.RecordWindow, ola_pb2.RecordWindowRequest(starts_s=300)),
            (stub.ConfirmWindow, ola_pb2.ConfirmWindowRequest(starts_s=300)),
            (stub.GetHistory, ola_pb2.GetHistoryRequest(name="ledger", check_signatures=True)),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await method(request, timeout=CALL_S)
            assert isinstance(from_rpc_error(error.value), ForbiddenError)


WEB = """apiVersion: weftmesh/v1
kind: OLA
metadata: {name: web}
spec:
  provider: team-web
  consumer: everybody
  service: web
  window: 28d
  objectives: {uptime: 99.99}
  endpoints: [{name: web-1, address: "10.0.0.21:443"}]
  dependsOn: [{ola: ledger, kind: hard}]
"""


async def seen(node: DevNode, text: str, *arguments: str) -> None:
    """A command says so, once the node's replica has caught up."""
    async with asyncio.timeout(CALL_S):
        while True:
            if text in await done(node, *arguments):
                return
            await asyncio.sleep(0.1)


async def test_the_command_line_plans_applies_and_explains(mesh: DevMesh, tmp_path: Path) -> None:
    await mesh.settled()
    node, other = list(mesh.nodes.values())[:2]
    file = tmp_path / "web.ola.yaml"
    file.write_text(WEB)

    planned = await weftmesh(node, "ola", "plan", str(file))
    assert planned.code == 0, planned.err
    assert "+ web" in planned.out
    assert f"{file}:" in planned.out, "what it promises is more than ledger gives"
    assert "dry run" in (await weftmesh(node, "ola", "apply", str(file), "--dry-run")).err
    assert (await weftmesh(node, "ola", "show", "web")).code == ExitCode.NOT_FOUND
    assert "+ web" in await done(node, "ola", "apply", str(file))
    assert await done(node, "ola", "apply", str(file)) == planned.out.removeprefix("+ web\n").strip()
    await seen(other, "team-web", "ola", "ls")

    file.write_text(WEB.replace("99.99", "99.9"))
    changed = await done(node, "ola", "plan", str(file))
    assert "~ web" in changed
    assert "objectives.uptime: 99.99" in changed

    async with node.client() as client:
        for number in range(3, 15):  # what was recorded above holds
            starts_s = wall_ms() // 300_000 * 300 - number * 300
            count = command_pb2.ObjectiveCount(name="web", objective="uptime", good=900, total=1_000)
            await client.ola.record_window(starts_s, [count], timeout_s=CALL_S)
    await seen(other, "of 12000 events", "ola", "explain", "web")
    (status,) = (await weftmesh(other, "--json", "ola", "status", "web")).json()["agreements"]
    (uptime,) = status["objectives"]
    assert (uptime["good"], uptime["total"], uptime["health"]) == (10_800, 12_000, "missed")
    assert {one["node"] for one in status["missing_confirmations"]} == {node.name}
    assert "  0 of " in await done(other, "ola", "status", "web")
    async with node.client() as client:
        confirmed = [command_pb2.ConfirmedAgreement(name="web", generation=2, workflow=b"hash")]
        await client.ola.confirm_window(wall_ms() // 300_000 * 300 - 1_800, confirmed, timeout_s=CALL_S)
    await seen(other, "  1 of ", "ola", "status", "web")
    explained = await done(other, "ola", "explain", "web")
    assert f"{node.name}  uptime" in explained
    assert "1200 of 12000 events were bad" in explained

    endless = ("--from", "2020-01-01T00:00", "--for", "1d", "--rrule", "FREQ=DAILY", "--reason", "storm")
    assert "it never ends" in (await weftmesh(node, "ola", "exclude", "web", *endless)).err
    begins = datetime.now(UTC).replace(tzinfo=None) - timedelta(hours=3)
    excluded = ("--from", begins.isoformat(), "--for", "4h", "--reason", "storm")
    await done(node, "ola", "exclude", "web", *excluded)
    (status,) = (await weftmesh(node, "--json", "ola", "status", "web")).json()["agreements"]
    assert status["objectives"][0]["total"] == 0
    assert "storm" in await done(node, "ola", "explain", "web")

    for form, word in (("--mermaid", "flowchart"), ("--dot", "digraph"), ("--svg", "<svg")):
        assert word in await done(other, "ola", "graph", "web", form)
    await done(node, "ola", "retire", "web", "--why", "moved")
    shown = await done(node, "ola", "show", "web")
    assert "retired: moved" in shown
    assert "  objectives.uptime: 99.99 %" in shown
    assert "exclusion added" in shown
