"""A whole router beside a real node is killed: its gRPC and Envoy clients fail nothing, and follow the next one."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import struct
import time
from pathlib import Path

import pytest
from tests.peers.envoy_process import envoy
from tests.peers.test_xds_grpc import TARGET, bootstrapped
from tests.peers.xds_lab import SERVICE, Endpoints, calling, endpoints

from weftmesh.cli.dev_mesh import dev_mesh
from weftmesh.cli.dev_node import DevNode
from weftmesh.client import Client
from weftmesh.client.xds_bootstrap import XDS_SOCKET_NAME, LocalRouter
from weftmesh.core.ola.model import Agreement, Endpoint, Probe, ProbeKind, RouteMode, RouteSettings, Uptime
from weftmesh.ola.v1 import command_pb2, ola_pb2
from weftmesh.runtime.wire.ola_agreements import agreement_message

pytestmark = [pytest.mark.alone, pytest.mark.integration, pytest.mark.timeout(300)]
BACK_S = 60.0


async def agree(client: Client, found: Endpoints) -> None:
    """An agreement about the lab's endpoints, in mode act."""
    agreement = Agreement(
        "payments-api",
        "team-a",
        "team-b",
        SERVICE,
        (Uptime(999_000_000),),
        86_400,
        probes=(Probe(ProbeKind.TCP, 1_000, 400),),
        endpoints=tuple(Endpoint(name, address, 4) for name, address in found.addresses.items()),
        route=RouteSettings(RouteMode.ACT, 50),
    )
    news = command_pb2.NewGeneration(agreement=agreement_message(agreement))
    change = command_pb2.ApplyAgreements(agreements=[news])
    await client.ola.change_agreements(ola_pb2.ChangeAgreementsRequest(apply_agreements=change), timeout_s=BACK_S)


async def drain(client: Client, endpoint: str) -> None:
    override = command_pb2.SetOverride(
        route=SERVICE, kind=command_pb2.OVERRIDE_KIND_DRAIN, endpoint=endpoint, why="a test"
    )
    request = ola_pb2.ChangeAgreementsRequest(set_override=override)
    await client.ola.change_agreements(request, timeout_s=BACK_S)


def router_pid(node: DevNode) -> int | None:
    """Who listens on the router's socket now."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(node.router_socket))
        except OSError:
            return None
        pid: int = struct.unpack("3i", probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
        return pid


async def another_router(node: DevNode, killed: int | None) -> int:
    """The process that took the place of `killed`."""
    deadline_s = time.monotonic() + BACK_S
    while (pid := router_pid(node)) is None or pid == killed:
        assert time.monotonic() < deadline_s, "no router"
        await asyncio.sleep(0.1)
    return pid


async def test_a_killed_router_fails_no_request_and_the_next_one_is_followed(tmp_path: Path) -> None:
    async with (
        endpoints() as found,
        dev_mesh(tmp_path / "mesh", 1, routers=True) as mesh,
        mesh.first.client() as client,
    ):
        await agree(client, found)
        pid = await another_router(mesh.first, None)
        router = LocalRouter(mesh.first.router_socket.with_name(XDS_SOCKET_NAME))
        async with (
            calling(TARGET, bootstrapped(tmp_path, router), callers=2) as direct,
            envoy(tmp_path, router) as front,
            calling(front.target, callers=2) as through,
        ):
            for caller in (direct, through):
                assert set(await caller.until(200)) == {"a", "b", "c"}
            os.kill(pid, signal.SIGKILL)
            await another_router(mesh.first, pid)
            await drain(client, "a")
            deadline_s = time.monotonic() + BACK_S
            for caller in (direct, through):
                # In bounded steps: it takes some seconds.
                while "a" in caller.since(time.monotonic() - 2.0):
                    assert time.monotonic() < deadline_s, "the drain is not followed"
                    await asyncio.sleep(0.2)
                assert {"b", "c"} == set(await caller.until(200, time.monotonic()))
                assert not caller.errors()
