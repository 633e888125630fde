"""Agreements reach all who go by them while the loop goes on."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tests.unit.router.agreed_routes import Bench, agreement
from tests.unit.router.test_agreements import in_force
from tests.unit.router.turns import Turns

from weftmesh.ola.v1 import ola_pb2
from weftmesh.router.counting.burning import Burning
from weftmesh.router.counting.counts import Counting
from weftmesh.router.following.agreements import Agreements
from weftmesh.router.following.applying import Applying
from weftmesh.router.probing.names import Names
from weftmesh.router.probing.scheduling import Probing
from weftmesh.router.xds.server import XdsServer
from weftmesh.router.xds.snapshot import RouteSnapshot
from weftmesh.router.xds_feed import XdsFeed
from weftmesh.runtime.lanes.cooperative import Lanes

MANY = 40


def everything(count: int) -> ola_pb2.AgreementsChange:
    found = [agreement(f"a{at}", service=f"s{at}", endpoints=50) for at in range(count)]
    found = [
        replace(one, endpoints=tuple(replace(end, address=f"10.0.{at}.{end.name[1:]}:80") for end in one.endpoints))
        for at, one in enumerate(found)
    ]
    return ola_pb2.AgreementsChange(revision=1, everything=True, agreements=map(in_force, found))


class Router:
    """All that a message about agreements goes through."""

    def __init__(self) -> None:
        self.bench = Bench()
        self.counting = Counting()
        self.probing = Probing(Lanes(), self.bench.tables, self.bench.clock, random.Random(1), {})
        self.applying = Applying(Agreements(), self.bench.tables, self.probing, self.counting, Burning())


async def test_many_agreements_do_not_hold_the_loop() -> None:
    router, turns = Router(), Turns()
    await router.applying.take(everything(MANY))
    assert len(router.bench.tables.names()) == MANY
    assert await turns.stop() > MANY / 4


async def test_a_node_without_agreements_is_known_to_have_none() -> None:
    router = Router()
    assert router.counting.close(1_000_000_000) == []
    await router.applying.take(ola_pb2.AgreementsChange(revision=1, everything=True))
    assert router.bench.tables.names() == ()


async def test_many_tables_are_told_to_xds_clients_without_holding_the_loop(tmp_path: Path) -> None:
    router = Router()
    await router.applying.take(everything(MANY))
    server = Server(router.bench.tables, socket=tmp_path / "xds.sock")
    turns = Turns()
    feed = asyncio.create_task(XdsFeed(router.bench.tables, server, Names()).run())
    await asyncio.wait_for(server.told.wait(), 30.0)
    assert await turns.stop() > MANY / 4
    feed.cancel()


class Server(XdsServer):
    """Says when all was told."""

    told = asyncio.Event()

    async def set_routes(self, routes: Mapping[str, RouteSnapshot]) -> None:
        await super().set_routes(routes)
        self.told.set()
