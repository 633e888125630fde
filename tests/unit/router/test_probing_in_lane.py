"""Probes of critical services are made by the critical lane, a real child process, against real ports."""

from __future__ import annotations

import asyncio
import dataclasses
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from tests.unit.router.agreed_routes import agreement, wanted

from weftmesh.core.ola.model import Probe, ProbeKind, ServiceClass
from weftmesh.core.routing.model import Endpoint
from weftmesh.router.clock import Clock
from weftmesh.router.following.wanted import WantedRoute
from weftmesh.router.probing.answers import Answer
from weftmesh.router.probing.in_lane import RATE_MAX, ProbingInLane
from weftmesh.router.probing.scheduling import Probing
from weftmesh.router.samples import Sample, Source
from weftmesh.runtime.lanes.cooperative import Lanes

TCP = Probe(ProbeKind.TCP, 100, 2_000)


class InRouter:
    """A prober of the router's own process; remembers whom it asked."""

    def __init__(self) -> None:
        self.asked: set[str] = set()

    async def ask(self, endpoint: Endpoint, probe: Probe) -> Answer:
        self.asked.add(endpoint.address)
        return Answer(ok=True, latency_us=1)

    async def close(self) -> None:
        """Nothing to close."""


class Collected:
    """Samples, and a way to wait for them."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self._some = asyncio.Event()

    def take(self, sample: Sample) -> None:
        self.samples.append(sample)
        self._some.set()

    async def until(self, enough: Callable[[list[Sample]], bool]) -> list[Sample]:
        async with asyncio.timeout(60.0):
            while not enough(self.samples):
                self._some.clear()
                await self._some.wait()
        return self.samples


@asynccontextmanager
async def probing(routes: dict[str, WantedRoute]) -> AsyncIterator[tuple[ProbingInLane, Collected, InRouter]]:
    lanes, collected, own = Lanes(), Collected(), InRouter()
    inner = Probing(lanes, collected, Clock(), random.Random(1), dict.fromkeys(ProbeKind, own))
    running = ProbingInLane(inner, collected)
    running.follow(routes)
    task = asyncio.create_task(running.run())
    try:
        yield running, collected, own
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await lanes.stop()


def routes(address: str, service_class: ServiceClass, *probes: Probe, service: str = "pay") -> dict[str, WantedRoute]:
    (route,) = wanted(agreement(service=service, probes=probes, service_class=service_class)).values()
    return {service: dataclasses.replace(route, endpoints=(Endpoint("e0", address, 4),))}


async def echo_server() -> tuple[asyncio.Server, str]:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    return server, f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_a_critical_service_is_asked_by_the_lane_and_others_by_the_router() -> None:
    server, address = await echo_server()
    both = routes(address, ServiceClass.CRITICAL, TCP) | routes("h:1", ServiceClass.NORMAL, TCP, service="mail")
    async with server, probing(both) as (running, collected, own):
        seen = await collected.until(lambda all_: [one.route for one in all_].count("pay") >= 3)
        await collected.until(lambda all_: any(one.route == "mail" for one in all_))
        asked = [one for one in seen if one.route == "pay"]
        assert own.asked == {"h:1"}
        assert all(one.ok and one.source is Source.PROBE and one.probe is ProbeKind.TCP for one in asked)
        assert all(one.latency_us is not None for one in asked)
        (state,) = running.states("pay")
        assert (state.endpoint, state.answered >= 3) == ("e0", True)
        assert running.lane().pid is not None


async def test_an_endpoint_that_is_gone_is_missed_three_times_within_a_period() -> None:
    server, address = await echo_server()
    slow = Probe(ProbeKind.TCP, 2_000, 1_000)
    async with server, probing(routes(address, ServiceClass.CRITICAL, slow)) as (_, collected, _):
        await collected.until(bool)
        server.close()
        await server.wait_closed()
        seen = await collected.until(lambda all_: sum(not one.ok for one in all_) >= 3)
    missed = [one for one in seen if not one.ok]
    assert missed[2].ended_s - missed[0].ended_s < 2.0
    assert all(one.latency_us is None for one in missed)


async def test_probes_of_the_health_service_and_those_beyond_the_lanes_rate_stay_with_the_router() -> None:
    health = Probe(ProbeKind.GRPC, 100, 1_000)
    many = routes("h:1", ServiceClass.CRITICAL, health, TCP)
    endpoints = tuple(Endpoint(f"e{at}", f"h:{at}", 4) for at in range(1 + int(RATE_MAX * TCP.every_ms / 1_000)))
    many["pay"] = dataclasses.replace(many["pay"], endpoints=endpoints)
    async with probing(many) as (running, collected, own):
        await collected.until(lambda all_: {one.probe for one in all_} == {ProbeKind.GRPC, ProbeKind.TCP})
        assert running.lane().pid is None
        assert own.asked


async def test_a_service_that_is_no_longer_critical_goes_back_to_the_router() -> None:
    server, address = await echo_server()
    async with server, probing(routes(address, ServiceClass.CRITICAL, TCP)) as (running, collected, own):
        await collected.until(bool)
        running.follow(routes(address, ServiceClass.NORMAL, TCP))
        await collected.until(lambda _: bool(own.asked))
        assert [one.endpoint for one in running.states("pay")] == ["e0"]
