"""What a real router writes down beside a real node: counts that reach the log, decisions that are replayed, delays."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tests.integration.command_line import weftmesh
from tests.unit.core.ola_machine.agreed import PAYMENTS

from weftmesh.cli.dev_mesh import DevMesh, free_ports
from weftmesh.cli.dev_node import DevNode
from weftmesh.client.routing import connect_router, router_target
from weftmesh.core.errors import NodeUnreachableError
from weftmesh.core.ola.model import Agreement, Endpoint, Probe, ProbeKind, RouteMode, RouteSettings
from weftmesh.core.ola.replicated.rows import ConfirmedAgreement, ObjectiveCount
from weftmesh.ola.v1 import command_pb2, ola_pb2
from weftmesh.router.counting.counts import CountedWindow
from weftmesh.router.counting.window_store import WindowStore
from weftmesh.runtime.clock import wall_ms
from weftmesh.runtime.wire.ola_agreements import agreement_message

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240), pytest.mark.asyncio(loop_scope="module")]

CALL_S = 60.0


@asynccontextmanager
async def router(node: DevNode, state_dir: Path) -> AsyncIterator[None]:
    """A router beside the node that has begun to probe; ended as a service manager does."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "weftmesh.router", "--socket", str(node.socket), "--state-dir", str(state_dir)
    )
    try:
        async with connect_router(router_target(str(node.socket))) as api:

            async def probes() -> bool:
                try:
                    return any(one.started for one in (await api.get_lanes()).lanes)
                except NodeUnreachableError:
                    return False

            await come_true(probes)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), CALL_S) == 0


@asynccontextmanager
async def listening() -> AsyncIterator[str]:
    """The address of an endpoint that accepts connections."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        yield f"{host}:{port}"


async def come_true(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(CALL_S):
        while not await holds():  # noqa: ASYNC110
            await asyncio.sleep(0.2)  # other processes tell nobody


async def apply(node: DevNode, agreement: Agreement) -> None:
    news = command_pb2.NewGeneration(agreement=agreement_message(agreement))
    request = ola_pb2.ChangeAgreementsRequest(apply_agreements=command_pb2.ApplyAgreements(agreements=[news]))
    async with node.client() as client:
        await client.ola.change_agreements(request, timeout_s=CALL_S)


def open_total(state_dir: Path) -> int:
    """Events that the router has counted for the uptime, and not handed on yet; of the windows that it saved."""
    tallies = WindowStore(state_dir / "windows").open_counts().tallies
    return sum(one.total for one in tallies if one.meaning.objective == "uptime")


async def test_windows_decisions_and_delays(mesh: DevMesh, tmp_path: Path) -> None:
    await mesh.settled()
    node, other = list(mesh.nodes.values())[:2]
    window = wall_ms() // 300_000 * 300 - 300
    async with listening() as address:
        endpoints = (Endpoint("good", address), Endpoint("gone", f"127.0.0.1:{free_ports(1)[0]}"))
        probes = (Probe(ProbeKind.TCP, 100, 90),)
        act = RouteSettings(RouteMode.ACT)
        await apply(node, replace(PAYMENTS, endpoints=endpoints, probes=probes, route=act))
        # What a router kept while its node was away is handed on by the next one.
        WindowStore(tmp_path / "windows").put(
            CountedWindow(
                window,
                (ConfirmedAgreement("payments-api", 1, b"hash"),),
                (ObjectiveCount("payments-api", "uptime", 9, 10),),
            )
        )
        async with router(node, tmp_path):

            async def signed() -> bool:
                async with other.client() as client:
                    history = await client.ola.get_history("payments-api", check_signatures=True, timeout_s=CALL_S)
                    return [one.verdict for one in history.checks] == [ola_pb2.SIGNATURE_VERDICT_GENUINE]

            await come_true(signed)

            async def gone_is_out() -> bool:
                log = ("--json", "route", "replay", "--policy", "equal", "--log", str(tmp_path / "decisions"))
                replayed = await weftmesh(node, *log)
                routes = replayed.json()["routes"] if replayed.code == 0 else []
                return [one["logged"] for route in routes for one in route["endpoints"]] == [1.0, 0.0]

            await come_true(gone_is_out)
            lanes = (await weftmesh(node, "--json", "lanes")).json()["lanes"]
            assert {one["service_class"] for one in lanes} == {"critical", "normal", "batch"}
            assert next(one for one in lanes if one["service_class"] == "normal")["started"] > 0

            async def is_raised() -> bool:
                said = (await weftmesh(node, "lanes")).out
                return "normal" in said and "payments spends its error budget" in said

            await come_true(is_raised)
        counted = await asyncio.to_thread(open_total, tmp_path)
        assert counted > 0
        async with router(node, tmp_path):
            pass
        crossed = wall_ms() // 300_000 * 300 - 300 != window
        assert await asyncio.to_thread(open_total, tmp_path) > counted or crossed
    replayed = (
        await weftmesh(None, "route", "replay", "--policy", "feedback", "--log", str(tmp_path / "decisions"))
    ).out
    assert "payments: " in replayed
    assert " 0 differ" in replayed
