"""Orders of operators between real nodes: given on one, in force on all, refused where no router could follow."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from typing import Any

import pytest
from tests.integration.command_line import done, weftmesh
from tests.unit.core.ola_machine.agreed import PAYMENTS

from weftmesh.cli.dev_mesh import DevMesh
from weftmesh.cli.dev_node import DevNode
from weftmesh.cli.exit_codes import ExitCode
from weftmesh.client import Client
from weftmesh.core.errors import ConflictError
from weftmesh.ola.v1 import agreement_pb2, command_pb2, ola_pb2
from weftmesh.runtime.wire.ola_agreements import agreement_message

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240), pytest.mark.asyncio(loop_scope="module")]

CALL_S = 60.0
WHY = ("--why", "incident 7")


async def agreed(node: DevNode) -> None:
    """The agreement about payments is in force on the node."""
    news = command_pb2.NewGeneration(agreement=agreement_message(PAYMENTS))
    request = ola_pb2.ChangeAgreementsRequest(apply_agreements=command_pb2.ApplyAgreements(agreements=[news]))
    async with node.client() as client:
        view = await client.ola.get_agreements(timeout_s=CALL_S)
        if not view.standings:
            await client.ola.change_agreements(request, timeout_s=CALL_S)


async def orders(client: Client, revision: int = 0) -> list[tuple[str, str, str, str]]:
    """What is in force on a node: kind, route, endpoint, why."""
    request = ola_pb2.GetAgreementsRequest(min_revision=revision)
    view = await client.ola.get_agreements(request, timeout_s=CALL_S)
    return sorted(
        (command_pb2.OverrideKind.Name(one.kind).rpartition("_")[2].lower(), one.route, one.endpoint, one.why)
        for one in view.overrides
    )


async def ordered(node: DevNode, *arguments: str) -> int:
    """Give an order; the revision at which it is in force."""
    told = (await weftmesh(node, "--json", "route", *arguments, *WHY)).json()
    assert told["changed"]
    return int(told["answer"]["revision"])


async def test_orders_hold_on_every_node_until_they_are_taken_back(mesh: DevMesh) -> None:
    await mesh.settled()
    node, other = list(mesh.nodes.values())[:2]
    await agreed(node)
    await ordered(node, "drain", "payments", "pay-1")
    await ordered(node, "freeze", "payments")
    pinned = await weftmesh(node, "route", "pin", "payments", "pay-2", "--dry-run", *WHY)
    assert "payments is frozen: no weight of it moves before" in pinned.err
    revision = await ordered(node, "mode", "act", "payments")
    async with other.client() as client:
        assert await orders(client, revision) == [
            ("drain", "payments", "pay-1", "incident 7"),
            ("freeze", "payments", "", "incident 7"),
            ("mode", "payments", "", "incident 7"),
        ]
        view = await client.ola.get_agreements(timeout_s=CALL_S)
        assert {one.actor.rpartition("@")[2] for one in view.overrides} == {node.name}
        await ordered(other, "undrain", "payments", "pay-1")
        await ordered(other, "unfreeze", "payments")
        revision = await ordered(other, "mode", "agreed", "payments")
        assert await orders(client, revision) == []
        revision = await ordered(other, "mode", "suggest", "--all")
        view = await client.ola.get_agreements(ola_pb2.GetAgreementsRequest(min_revision=revision), timeout_s=CALL_S)
        assert [(one.route, one.mode) for one in view.overrides] == [("", agreement_pb2.ROUTE_MODE_SUGGEST)]
        await ordered(other, "mode", "agreed", "--all")


async def test_one_endpoint_at_a_time_is_pinned(mesh: DevMesh) -> None:
    await mesh.settled()
    node = next(iter(mesh.nodes.values()))
    await agreed(node)
    await ordered(node, "pin", "payments", "pay-1")
    await ordered(node, "pin", "payments", "pay-2")
    async with node.client() as client:
        assert await orders(client) == [("pin", "payments", "pay-2", "incident 7")]
    refused = await weftmesh(node, "route", "drain", "payments", "pay-2", *WHY)
    assert (refused.code, "pinned to pay-2" in refused.err) == (ExitCode.ERROR, True)
    await ordered(node, "unpin", "payments")
    again = await weftmesh(node, "route", "unpin", "payments", *WHY)
    assert (again.code, "nothing was changed" in again.err) == (0, True)


async def test_the_last_endpoint_is_not_drained_and_what_is_not_there_is_told(mesh: DevMesh) -> None:
    await mesh.settled()
    node = next(iter(mesh.nodes.values()))
    await agreed(node)
    await ordered(node, "drain", "payments", "pay-1")
    last = await weftmesh(node, "--json", "route", "drain", "payments", "pay-2", *WHY)
    assert last.code == ExitCode.ERROR
    assert json.loads(last.out)["error"]["reason"] == "LAST_ENDPOINT"
    absent = await weftmesh(node, "route", "drain", "payments", "pay-9", *WHY)
    assert (absent.code, "pay-1, pay-2" in absent.err) == (ExitCode.NOT_FOUND, True)
    nowhere = await weftmesh(node, "route", "freeze", "nowhere", *WHY)
    assert (nowhere.code, "payments" in nowhere.err) == (ExitCode.NOT_FOUND, True)
    assert (await weftmesh(node, "route", "freeze", "payments")).code == ExitCode.USAGE, "nobody says why"
    assert (await weftmesh(node, "route", "mode", "act", *WHY)).code == ExitCode.USAGE, "neither a route nor --all"
    tried = await weftmesh(node, "route", "undrain", "payments", "pay-1", "--dry-run", *WHY)
    assert "dry run" in tried.err
    async with node.client() as client:
        assert await orders(client) == [("drain", "payments", "pay-1", "incident 7")]
    await ordered(node, "undrain", "payments", "pay-1")


async def shares(client: Client, revision: int = 0) -> dict[str, int]:
    """Ordered parts per billion of payments, as a node knows them."""
    request = ola_pb2.GetAgreementsRequest(min_revision=revision)
    view = await client.ola.get_agreements(request, timeout_s=CALL_S)
    (found,) = [one for one in view.weights if one.route == "payments"]
    return {one.endpoint: one.share_ppb for one in found.weights}


async def test_shares_hold_on_every_node_until_they_are_taken_back(mesh: DevMesh) -> None:
    await mesh.settled()
    node, other = list(mesh.nodes.values())[:2]
    await agreed(node)
    await ordered(node, "weigh", "payments", "pay-1=95", "pay-2=5")
    async with other.client() as client:
        revision = await ordered(other, "weigh", "payments", "pay-1=87.5", "pay-2=12.5")
        assert await shares(client, revision) == {"pay-1": 875_000_000, "pay-2": 125_000_000}
        tried = await weftmesh(node, "route", "unweigh", "payments", "--dry-run", *WHY)
        assert "dry run" in tried.err
        assert await shares(client) == {"pay-1": 875_000_000, "pay-2": 125_000_000}
        revision = await ordered(node, "unweigh", "payments")
        assert await shares(client, revision) == {}
    again = await weftmesh(node, "route", "unweigh", "payments", *WHY)
    assert (again.code, "nothing was changed" in again.err) == (0, True)


async def weigh(client: Client, seen: int, canary: int) -> None:
    """Order shares as somebody does who saw this generation; `canary` in percent."""
    change = command_pb2.SetWeights(route="payments", seen=seen, why="canary")
    for endpoint, percent in (("pay-1", 100 - canary), ("pay-2", canary)):
        change.weights.add(endpoint=endpoint, share_ppb=percent * 10_000_000)
    await client.ola.change_agreements(ola_pb2.ChangeAgreementsRequest(set_weights=change), timeout_s=CALL_S)


async def test_of_two_who_order_shares_at_once_one_is_told(mesh: DevMesh) -> None:
    await mesh.settled()
    node = next(iter(mesh.nodes.values()))
    await agreed(node)
    async with node.client() as client:
        view = await client.ola.get_agreements(timeout_s=CALL_S)
        seen = next((one.generation for one in view.weights if one.route == "payments"), 0)
        await weigh(client, seen, canary=10)
        with pytest.raises(ConflictError, match=f"generation {seen + 1}, not {seen}"):
            await weigh(client, seen, canary=20)
        assert await shares(client) == {"pay-1": 900_000_000, "pay-2": 100_000_000}
    await ordered(node, "unweigh", "payments")


async def test_shares_that_no_router_could_follow_are_refused(mesh: DevMesh) -> None:
    await mesh.settled()
    node = next(iter(mesh.nodes.values()))
    await agreed(node)
    left_out = await weftmesh(node, "route", "weigh", "payments", "pay-1=100", *WHY)
    assert (left_out.code, "pay-2 of the route is left out" in left_out.err) == (ExitCode.ERROR, True)
    strange = await weftmesh(node, "route", "weigh", "payments", "pay-1=95", "pay-9=5", *WHY)
    assert (strange.code, "no endpoint 'pay-9'; it has pay-1, pay-2" in strange.err) == (ExitCode.ERROR, True)
    sum_of = await weftmesh(node, "route", "weigh", "payments", "pay-1=95", "pay-2=4", *WHY)
    assert (sum_of.code, "add up to 99" in sum_of.err) == (ExitCode.USAGE, True)
    await ordered(node, "drain", "payments", "pay-1")
    empty = await weftmesh(node, "route", "weigh", "payments", "pay-1=100", "pay-2=0", *WHY)
    assert (empty.code, "clear a drain" in empty.err) == (ExitCode.ERROR, True)
    await ordered(node, "undrain", "payments", "pay-1")
    await ordered(node, "weigh", "payments", "pay-1=100", "pay-2=0")
    last = await weftmesh(node, "--json", "route", "drain", "payments", "pay-1", *WHY)
    assert json.loads(last.out)["error"]["reason"] == "LAST_ENDPOINT"
    await ordered(node, "unweigh", "payments")


async def until_frozen(node: DevNode, watching: asyncio.Semaphore) -> None:
    """Return once the node tells whoever watches that all routes are frozen."""
    async with node.client() as client, aclosing(client.ola.watch_agreements()) as changes:
        async for change in changes:
            watching.release()
            overrides: Any = change.controls.overrides
            if any(one.kind == command_pb2.OVERRIDE_KIND_FREEZE and not one.route for one in overrides):
                return


async def test_one_command_freezes_every_route_on_every_node(mesh: DevMesh) -> None:
    await mesh.settled()
    node = next(iter(mesh.nodes.values()))
    await agreed(node)
    watching = asyncio.Semaphore(0)
    async with asyncio.timeout(CALL_S), asyncio.TaskGroup() as tasks:
        for one in mesh.nodes.values():
            tasks.create_task(until_frozen(one, watching))
        for _ in mesh.nodes:
            await watching.acquire()
        await ordered(node, "freeze")
    noted = await weftmesh(node, "route", "unfreeze", "payments", *WHY)
    assert "every route is frozen" in noted.err
    assert await done(node, "route", "unfreeze", *WHY) == ""
