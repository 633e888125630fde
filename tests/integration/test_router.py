"""Routers beside real nodes: they follow agreements and orders, leave failing endpoints, and go on alone."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from tests.integration.backends import Backend, backends
from tests.integration.command_line import done

from weftmesh.cli.dev_mesh import DevMesh, dev_mesh
from weftmesh.cli.dev_node import DevNode
from weftmesh.client import Client
from weftmesh.client.routing import RoutingApi, connect_router
from weftmesh.core.errors import NodeUnreachableError, NotFoundError
from weftmesh.core.ola.model import (
    Agreement,
    Endpoint,
    Probe,
    ProbeKind,
    ResponseTime,
    RouteMode,
    RouteSettings,
    Uptime,
)
from weftmesh.ola.v1 import command_pb2, ola_pb2
from weftmesh.routing.v1 import routing_pb2
from weftmesh.runtime.wire.ola_agreements import agreement_message

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240), pytest.mark.asyncio(loop_scope="module")]

SOON_S = 60.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[DevMesh]:
    async with dev_mesh(tmp_path_factory.mktemp("mesh"), 3, routers=True) as running:
        yield running


def agreed(service: str, made: list[Backend], mode: RouteMode = RouteMode.ACT) -> Agreement:
    return Agreement(
        f"{service}-api",
        "team-a",
        "team-b",
        service,
        (Uptime(999_000_000), ResponseTime(990_000_000, 300_000)),
        86_400,
        probes=(Probe(ProbeKind.HTTP, 500, 400, "/healthz"),),
        endpoints=tuple(Endpoint(f"e{at}", one.address, 4) for at, one in enumerate(made)),
        route=RouteSettings(mode, 50),
    )


async def apply(client: Client, agreement: Agreement) -> None:
    news = command_pb2.NewGeneration(agreement=agreement_message(agreement))
    change = command_pb2.ApplyAgreements(agreements=[news])
    await client.ola.change_agreements(ola_pb2.ChangeAgreementsRequest(apply_agreements=change), timeout_s=SOON_S)


async def order(client: Client, route: str, kind: command_pb2.OverrideKind, endpoint: str = "") -> None:
    override = command_pb2.SetOverride(route=route, kind=kind, endpoint=endpoint, why="a test")
    request = ola_pb2.ChangeAgreementsRequest(set_override=override)
    await client.ola.change_agreements(request, timeout_s=SOON_S)


async def table_when(
    router: RoutingApi, route: str, holds: Callable[[routing_pb2.RouteTable], bool]
) -> routing_pb2.RouteTable:
    async with asyncio.timeout(SOON_S):
        while True:
            try:
                (found,) = await router.get_routes([route])
                if holds(found):
                    return found
            except (NotFoundError, NodeUnreachableError):
                pass
            await asyncio.sleep(0.02)


def weights(table: routing_pb2.RouteTable) -> list[float]:
    return [round(row.weight, 6) for row in table.rows]


async def test_every_router_gets_a_route_by_its_agreement_and_loses_it_with_it(mesh: DevMesh) -> None:
    async with backends(2) as made, mesh.first.client() as client:
        await apply(client, agreed("brief", made))
        for node in mesh.nodes.values():
            async with connect_router(str(node.router_socket)) as router:
                found = await table_when(router, "brief", lambda one: len(one.rows) == 2)
                assert (found.mode, found.stale_ms, list(found.agreements)) == ("act", 0, ["brief-api"])
                assert (await router.resolve("brief")).address in {one.address for one in made}
        retired = command_pb2.ApplyAgreements(retire=[command_pb2.Retirement(name="brief-api", seen=1)], why="over")
        await client.ola.change_agreements(ola_pb2.ChangeAgreementsRequest(apply_agreements=retired), timeout_s=SOON_S)
        async with connect_router(str(mesh.first.router_socket)) as router:
            async with asyncio.timeout(SOON_S):
                async for table in router.watch_routes(["brief"]):
                    if table.removed:
                        break
            with pytest.raises(NotFoundError, match="no route 'brief'"):
                await router.resolve("brief")


async def test_an_endpoint_that_fails_is_left_by_its_probes_alone(mesh: DevMesh) -> None:
    async with (
        backends(3) as made,
        mesh.first.client() as client,
        connect_router(str(mesh.first.router_socket)) as router,
    ):
        await apply(client, agreed("failing", made))
        await table_when(router, "failing", lambda one: len(one.rows) == 3)
        await asyncio.sleep(2.0)  # it is known to be well
        made[1].status = 500
        begun_s = time.monotonic()
        found = await table_when(router, "failing", lambda one: one.rows[1].weight == 0.0)
        took_s = time.monotonic() - begun_s
        assert found.rows[1].condition == "ejected"
        assert took_s < 10.0, "2 s on a machine with nothing else to do; see the benchmark"
        picked = {(await router.resolve("failing")).endpoint for _ in range(50)}
        assert "e1" not in picked


async def test_reports_move_requests_away_before_any_probe_does(mesh: DevMesh) -> None:
    async with (
        backends(2) as made,
        mesh.first.client() as client,
        connect_router(str(mesh.first.router_socket)) as router,
    ):
        await apply(client, agreed("reported", made))
        await table_when(router, "reported", lambda one: len(one.rows) == 2)
        for _ in range(40):
            found = await router.resolve("reported", will_report=True)
            assert found.ticket
            report = routing_pb2.RequestReport(
                route="reported", endpoint=found.endpoint, ticket=found.ticket, ok=found.endpoint == "e0"
            )
            report.latency_us = 5_000
            answer = await router.report_now([report])
            assert (answer.taken, answer.refused) == (1, 0)
        picked = [(await router.resolve("reported")).endpoint for _ in range(50)]
        assert picked.count("e0") >= 45


async def test_a_freeze_holds_on_all_nodes_and_a_drain_empties(mesh: DevMesh) -> None:
    async with backends(2) as made, mesh.first.client() as client:
        await apply(client, agreed("ordered", made))
        nodes = list(mesh.nodes.values())
        async with (
            connect_router(str(nodes[0].router_socket)) as one,
            connect_router(str(nodes[1].router_socket)) as two,
            connect_router(str(nodes[2].router_socket)) as three,
        ):
            routers = (one, two, three)
            for router in routers:
                await table_when(router, "ordered", lambda found: len(found.rows) == 2)
            begun_s = time.monotonic()
            await order(client, "ordered", command_pb2.OVERRIDE_KIND_FREEZE)
            await asyncio.gather(*(table_when(router, "ordered", lambda found: found.frozen) for router in routers))
            assert time.monotonic() - begun_s < 10.0, "1 s on a machine with nothing else to do; see the benchmark"
            await order(client, "ordered", command_pb2.OVERRIDE_KIND_DRAIN, "e0")
            await asyncio.sleep(2.0)
            assert weights((await one.get_routes(["ordered"]))[0]) == [0.5, 0.5], "a freeze comes before a drain"
            cleared = command_pb2.ClearOverride(route="ordered", kind=command_pb2.OVERRIDE_KIND_FREEZE, why="over")
            await client.ola.change_agreements(ola_pb2.ChangeAgreementsRequest(clear_override=cleared))
            for router in routers:
                found = await table_when(router, "ordered", lambda table: weights(table) == [0.0, 1.0])
                assert found.rows[0].reason == "drained"
                assert {(await router.resolve("ordered")).endpoint for _ in range(20)} == {"e1"}


async def test_a_canary_gets_its_share_of_requests_until_that_is_taken_back(mesh: DevMesh) -> None:
    async with backends(3) as made, mesh.first.client() as client:
        await apply(client, agreed("canary", made))
        node = list(mesh.nodes.values())[-1]
        async with connect_router(str(node.router_socket)) as router:
            await table_when(router, "canary", lambda one: len(one.rows) == 3)
            await done(mesh.first, "route", "weigh", "canary", "e0=90", "e1=5", "e2=5", "--why", "version 2.4")
            found = await table_when(router, "canary", lambda one: weights(one) == [0.9, 0.05, 0.05])
            assert "version 2.4" in found.rows[2].detail
            answers = [await router.resolve("canary") for _ in range(2_000)]
            assert {one.basis for one in answers} == {routing_pb2.BASIS_WEIGHTS}
            picked = [one.endpoint for one in answers]
            shares = [picked.count(f"e{at}") / len(picked) for at in range(3)]
            assert shares == pytest.approx([0.9, 0.05, 0.05], abs=0.03)
            told = await done(node, "route", "explain", "canary")
            assert "weigh e0=90% e1=5% e2=5% by" in told
            await done(mesh.first, "route", "unweigh", "canary", "--why", "it went well")
            await table_when(router, "canary", lambda one: one.rows[2].reason != "weighed")
            assert (await router.resolve("canary")).basis == routing_pb2.BASIS_COST


async def test_a_router_goes_on_without_its_node_and_begins_again_with_the_same_table(
    mesh: DevMesh, tmp_path: Path
) -> None:
    async with backends(2) as made, mesh.first.client() as client:
        await apply(client, agreed("kept", made))
        await order(client, "kept", command_pb2.OVERRIDE_KIND_DRAIN, "e1")
        node = list(mesh.nodes.values())[-1]
        process = await start_router(node, tmp_path)
        try:
            async with connect_router(str(tmp_path / "router.sock")) as router:
                await table_when(router, "kept", lambda one: weights(one) == [1.0, 0.0])
                await asyncio.sleep(1.5)  # it is kept twice a second
                await mesh.kill(node.name)
                stale = await table_when(router, "kept", lambda one: one.stale_ms > 0)
                assert weights(stale) == [1.0, 0.0]
                answer = await router.resolve("kept")
                assert (answer.endpoint, answer.stale_ms > 0) == ("e0", True)
            process.kill()
            await process.wait()
            process = await start_router(node, tmp_path)
            async with connect_router(str(tmp_path / "router.sock")) as router:
                again = await table_when(router, "kept", lambda one: True)
                assert weights(again) == weights(stale)
                assert again.version == stale.version
                assert again.stale_ms > 0
                assert (await router.resolve("kept")).endpoint == "e0"
                await mesh.restart(node.name)
                await mesh.settled()
                fresh = await table_when(router, "kept", lambda one: one.stale_ms == 0)
                assert weights(fresh) == [1.0, 0.0]
        finally:
            process.terminate()
            await process.wait()


async def test_people_see_tables_and_reasons(mesh: DevMesh) -> None:
    async with (
        backends(2) as made,
        mesh.first.client() as client,
        connect_router(str(mesh.first.router_socket)) as router,
    ):
        await apply(client, agreed("shown", made, RouteMode.OBSERVE))
        await table_when(router, "shown", lambda one: len(one.rows) == 2)
        shown = await done(mesh.first, "route", "table", "shown")
        assert "observe" in shown
        assert made[0].address in shown
        told = await done(mesh.first, "route", "explain", "shown")
        assert "shown by shown-api" in told
        assert "http" in told


async def start_router(node: DevNode, directory: Path) -> asyncio.subprocess.Process:
    """A router that is none of the node's companions, so that it outlives the node."""
    with (directory / "router.log").open("ab") as log:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "weftmesh.router", "--socket", str(node.socket)),
            *("--listen", str(directory / "router.sock"), "--state-dir", str(directory / "state")),
            stdout=log,
            stderr=log,
        )
