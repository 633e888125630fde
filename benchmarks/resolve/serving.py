"""A real router beside real nodes: how long answers, freezes and ejections take, and what 10,000 endpoints cost."""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from benchmarks.report import Row
from benchmarks.resolve.agreed import Server, agreement, apply
from benchmarks.resolve.computing import ENDPOINTS_EACH, OLAS
from weftmesh.cli.dev_mesh import DevMesh
from weftmesh.cli.dev_node import DevNode
from weftmesh.client import Client
from weftmesh.client.routing import RoutingApi, connect_router
from weftmesh.core.errors import WeftmeshError
from weftmesh.ola.v1 import command_pb2, ola_pb2
from weftmesh.routing.v1 import routing_pb2, routing_pb2_grpc

TURNS = 100
WARM_UP = 10
TURN = 50
"""Calls of one kind before it is the turn of the next."""
FREEZES = 10
FAILURES = 5
SOON_S = 120.0


async def resolve_rows(client: Client, router: RoutingApi, socket: Path) -> list[Row]:
    """Resolve over the socket, by the library and by bare gRPC, in turns with a call on it that does nothing."""
    await apply(client, [agreement("quick", [f"10.0.0.{at}:80" for at in range(1, 11)], probed=False)])
    await table_when(router, "quick", lambda one: len(one.rows) == 10)
    async with grpc.aio.insecure_channel(f"unix:{socket}") as channel:
        health, routing = health_pb2_grpc.HealthStub(channel), routing_pb2_grpc.RoutingServiceStub(channel)
        bare, plain, by_library = await _in_turns(
            lambda: health.Check(health_pb2.HealthCheckRequest()),
            lambda: routing.Resolve(routing_pb2.ResolveRequest(route="quick")),
            lambda: router.resolve("quick"),
        )
    bare_us = statistics.median(bare)
    return [
        _beside_health("Resolve over the socket", by_library, bare_us),
        Row("Resolve over the socket", "p99", statistics.quantiles(by_library, n=100)[98], "us"),
        _beside_health("Resolve without the library", plain, bare_us),
    ]


def _beside_health(name: str, took: list[float], bare_us: float) -> Row:
    p50_us = statistics.median(took)
    return Row(name, "p50", p50_us, "us", "grpc.health.v1 Check", bare_us, p50_us / bare_us)


async def freeze_rows(client: Client, routers: list[RoutingApi]) -> list[Row]:
    """From the order to the last of three routers that follows it."""
    took = []
    for _ in range(FREEZES):
        begun_s = time.monotonic()
        override = command_pb2.SetOverride(route="quick", kind=command_pb2.OVERRIDE_KIND_FREEZE, why="a benchmark")
        await client.ola.change_agreements(ola_pb2.ChangeAgreementsRequest(set_override=override))
        await asyncio.gather(*(table_when(one, "quick", lambda table: table.frozen) for one in routers))
        took.append(time.monotonic() - begun_s)
        cleared = command_pb2.ClearOverride(route="quick", kind=command_pb2.OVERRIDE_KIND_FREEZE, why="a benchmark")
        await client.ola.change_agreements(ola_pb2.ChangeAgreementsRequest(clear_override=cleared))
        await asyncio.gather(*(table_when(one, "quick", lambda table: not table.frozen) for one in routers))
    name = f"freeze on {len(routers)} nodes"
    return [Row(name, "median", statistics.median(took), "s"), Row(name, "max", max(took), "s")]


async def failure_rows(client: Client, router: RoutingApi) -> list[Row]:
    """From the first error of an endpoint to a table without it; one probe a second, and no requests."""
    servers = [[Server() for _ in range(3)] for _ in range(FAILURES)]
    for of_route in servers:
        for one in of_route:
            await one.start()
    await apply(
        client,
        [agreement(f"f{at}", [one.address for one in found], probed=True) for at, found in enumerate(servers)],
    )
    for at in range(FAILURES):
        await table_when(router, f"f{at}", lambda table: len(table.rows) == 3)
    await asyncio.sleep(5.0)
    took = []
    for at, of_route in enumerate(servers):
        of_route[1].status = 500
        begun_s = time.monotonic()
        await table_when(router, f"f{at}", lambda table: table.rows[1].weight == 0.0)
        took.append(time.monotonic() - begun_s)
    name = "failing endpoint out, by its probes"
    return [Row(name, "median", statistics.median(took), "s"), Row(name, "max", max(took), "s")]


async def size_rows(client: Client, router: RoutingApi, pid: int) -> list[Row]:
    """Many agreements and endpoints: memory, and from the last answer to the last table at a watcher."""
    before_kib = resident_kib(pid)
    wanted = [
        agreement(f"s{number}", [f"10.1.{number}.{at}:80" for at in range(ENDPOINTS_EACH)], probed=False)
        for number in range(OLAS)
    ]
    missing = {one.service for one in wanted}
    watching = asyncio.create_task(_all_told(router, missing))
    await asyncio.sleep(0.5)
    begun_s = time.monotonic()
    await apply(client, wanted)
    applied_s = time.monotonic()
    await asyncio.wait_for(watching, SOON_S)
    pushed_s = time.monotonic()
    await asyncio.sleep(3.0)
    name = f"{OLAS} OLAs, {OLAS * ENDPOINTS_EACH:,} endpoints"
    return [
        Row(name, "apply, 10 commands", applied_s - begun_s, "s"),
        Row(name, "last table pushed after the last apply", pushed_s - applied_s, "s"),
        Row(name, "memory of the router", (resident_kib(pid) - before_kib) / 1024, "MiB more"),
        Row(name, "memory of the router before", before_kib / 1024, "MiB"),
    ]


async def _all_told(router: RoutingApi, missing: set[str]) -> None:
    async for table in router.watch_routes():
        if len(table.rows) == ENDPOINTS_EACH:
            missing.discard(table.route)
        if not missing:
            return


async def _in_turns(*calls: Callable[[], object]) -> list[list[float]]:
    """Microseconds of each kind of call; a few of one kind, then of the next, so that other work meets all alike."""
    took: list[list[float]] = [[] for _ in calls]
    for number in range(WARM_UP + TURNS):
        for call, of_kind in zip(calls, took, strict=True):
            for _ in range(TURN):
                begun_s = time.perf_counter()
                await call()  # type: ignore[misc]  # grpc's calls are untyped
                if number >= WARM_UP:
                    of_kind.append((time.perf_counter() - begun_s) * 1e6)
    return took


async def table_when(
    router: RoutingApi, route: str, holds: Callable[[routing_pb2.RouteTable], bool]
) -> routing_pb2.RouteTable:
    """The first table of a route of which something holds."""
    async with asyncio.timeout(SOON_S):
        while True:
            try:
                async for table in router.watch_routes([route]):
                    if holds(table):
                        return table
            except WeftmeshError:
                await asyncio.sleep(0.05)


def resident_kib(pid: int) -> int:
    """Memory of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


@asynccontextmanager
async def routers_of(mesh: DevMesh) -> AsyncIterator[list[RoutingApi]]:
    """A client of each node's router."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(connect_router(str(one.router_socket))) for one in mesh.nodes.values()]


@asynccontextmanager
async def router_beside(node: DevNode, directory: Path) -> AsyncIterator[tuple[int, Path]]:
    """Another router of a node, of which the pid is known, and its socket."""
    socket = directory / "router.sock"
    with (directory / "router.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "weftmesh.router", "--socket", str(node.socket), "--listen", str(socket)),
            *("--state-dir", str(directory / "state")),
            stdout=log,
            stderr=log,
        )
    try:
        yield process.pid, socket
    finally:
        process.terminate()
        await process.wait()
