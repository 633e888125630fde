"""The parts of a router between load reports and tables, without probes, lanes and a node."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.peers.xds_lab import SERVICE, Caller, Endpoints, serving

from weftmesh.core.ola.model import ServiceClass
from weftmesh.core.routing.model import Decision, Endpoint, Mode, Settings
from weftmesh.router.clock import Clock
from weftmesh.router.following.wanted import WantedRoute
from weftmesh.router.probing.names import Names
from weftmesh.router.routes.tables import Tables
from weftmesh.router.xds.server import XdsServer
from weftmesh.router.xds_feed import XdsFeed

FAILING_S = 2.0
"""How long after its first failure an endpoint may be in use."""


class Decided:
    """Keeps decisions in memory."""

    def __init__(self) -> None:
        self.decisions: list[Decision] = []

    def append(self, decision: Decision) -> None:
        self.decisions.append(decision)


async def decide(tables: Tables) -> None:
    """Look at routes when they are due, as `weftmesh.router.routes.deciding` does."""
    while True:
        for route in tables.due():
            tables.evaluate(route)
        await asyncio.sleep(0.05)


@asynccontextmanager
async def routed(found: Endpoints, socket: Path) -> AsyncIterator[Tables]:
    """A route in mode act over the lab's endpoints, of which load reports alone tell anything."""
    tables = Tables(Clock(), random.Random(1), Decided())
    members = tuple(Endpoint(name, address, 8.0) for name, address in found.addresses.items())
    route = WantedRoute(SERVICE, ("ola",), members, Settings(), Mode.ACT, (), (), ServiceClass.NORMAL)
    async with serving(XdsServer(tables, socket=socket)) as server:
        tables.want({SERVICE: route})
        feed = XdsFeed(tables, server, Names())
        tasks = [asyncio.create_task(one) for one in (decide(tables), feed.run())]
        try:
            yield tables
        finally:
            for task in tasks:
                task.cancel()


async def leaves_a_failing_endpoint(found: Endpoints, tables: Tables, caller: Caller) -> None:
    """Endpoint b fails all its calls from some moment on; within two seconds it gets none."""
    # The failure follows some seconds in which all went well, so that what is remembered of those counts.
    await caller.until(1_000)
    await asyncio.sleep(3.0)
    failed_s = time.monotonic()
    found.failing.add("b")
    await asyncio.sleep(4.0)
    calls = [(at - failed_s, answer) for at, answer in caller.calls if at > failed_s]
    errors = [at for at, answer in calls if answer.startswith("!")]
    assert errors, "nothing failed"
    assert max(errors) < FAILING_S, f"in use for {max(errors):.2f} s, {len(errors)} of {len(calls)} calls failed"
    weights = {row.endpoint: row.weight for row in tables.rows(SERVICE)}
    assert weights["b"] < min(weights["a"], weights["c"]), tables.story(SERVICE)
