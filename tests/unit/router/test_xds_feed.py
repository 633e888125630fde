"""What the xDS server is told of tables, and when."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Callable, Mapping

from weftmesh.core.ola.model import ServiceClass
from weftmesh.core.routing.model import Decision, Endpoint, Mode, Settings
from weftmesh.router.clock import Clock
from weftmesh.router.following.wanted import WantedRoute
from weftmesh.router.probing.names import Names, Where
from weftmesh.router.routes.tables import Tables
from weftmesh.router.xds.snapshot import RouteSnapshot
from weftmesh.router.xds_feed import XdsFeed


class Heard:
    """What clients were told, the latest last; and a decision log that keeps nothing."""

    def __init__(self) -> None:
        self.told: list[dict[str, RouteSnapshot]] = []

    async def set_routes(self, routes: Mapping[str, RouteSnapshot]) -> None:
        self.told.append(dict(routes))

    def append(self, decision: Decision) -> None:
        del decision

    def addresses(self, route: str) -> list[str]:
        return [row.address for row in self.told[-1][route].rows]


class Dns:
    """A resolver whose answers a test changes; a name without one is not found."""

    def __init__(self, **hosts: str) -> None:
        self.hosts = hosts

    def __call__(self, host: str, port: int) -> Where:
        if host not in self.hosts:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return socket.AF_INET, (self.hosts[host], port)


def wanted(name: str, *addresses: str) -> WantedRoute:
    members = tuple(Endpoint(f"e{at}", address, 1.0) for at, address in enumerate(addresses))
    return WantedRoute(name, ("ola",), members, Settings(), Mode.ACT, (), (), ServiceClass.NORMAL)


async def told(routes: list[WantedRoute], dns: Dns, enough: Callable[[Heard], bool]) -> Heard:
    """Run a feed until clients were told enough."""
    heard = Heard()
    tables = Tables(Clock(), random.Random(1), heard)
    tables.want({one.name: one for one in routes})
    feed = XdsFeed(tables, heard, Names(dns))
    running = asyncio.create_task(feed.run())
    try:
        async with asyncio.timeout(10):
            while not enough(heard):  # noqa: ASYNC110, the sink is a list
                await asyncio.sleep(0.01)
    finally:
        running.cancel()
    return heard


async def test_numbers_are_told_at_once() -> None:
    heard = await told([wanted("pay", "10.0.0.1:80", "[::1]:80")], Dns(), lambda heard: bool(heard.told))
    assert heard.addresses("pay") == ["10.0.0.1:80", "[::1]:80"]


async def test_nothing_is_said_before_names_were_looked_up() -> None:
    routes = [wanted("pay", "10.0.0.1:80"), wanted("shop", "shop-1:80")]
    heard = await told(routes, Dns(**{"shop-1": "10.0.0.7"}), lambda heard: bool(heard.told))
    assert heard.told[0].keys() == {"pay", "shop"}
    assert heard.addresses("shop") == ["10.0.0.7:80"]


async def test_an_endpoint_whose_name_is_not_found_is_left_out_alone() -> None:
    routes = [wanted("shop", "shop-1:80", "nowhere:80", "10.0.0.3:80"), wanted("lost", "nowhere:80")]
    heard = await told(routes, Dns(**{"shop-1": "10.0.0.7"}), lambda heard: bool(heard.told))
    assert heard.told[-1].keys() == {"shop"}
    assert heard.addresses("shop") == ["10.0.0.7:80", "10.0.0.3:80"]


async def test_a_name_that_is_found_later_comes_in() -> None:
    dns = Dns()

    def begun(heard: Heard) -> bool:
        if heard.told:
            dns.hosts["shop-1"] = "10.0.0.7"
        return bool(heard.told) and "shop" in heard.told[-1]

    heard = await told([wanted("shop", "shop-1:80")], dns, begun)
    assert heard.told[0] == {}
    assert heard.addresses("shop") == ["10.0.0.7:80"]
