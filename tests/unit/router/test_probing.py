"""Probes are made by the plan, within bounds, and become samples."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from tests.unit.router.agreed_routes import agreement, wanted

from weftmesh.core.ola.model import Probe, ProbeKind, ServiceClass
from weftmesh.core.routing.model import Endpoint
from weftmesh.router.clock import Clock
from weftmesh.router.probing import scheduling
from weftmesh.router.probing.answers import Answer
from weftmesh.router.probing.scheduling import Probing
from weftmesh.router.samples import Sample, Source
from weftmesh.runtime.lanes.cooperative import Lanes

PROBE = Probe(ProbeKind.TCP, 50, 200)
ENDPOINTS = 2


class Told:
    """A prober that answers as it was told, once it may."""

    def __init__(self, answer: Answer | Exception) -> None:
        self.answer = answer
        self.may = asyncio.Event()
        self.may.set()
        self.asked = 0
        self.under_way = 0
        self.most = 0
        self.closed = False

    async def ask(self, endpoint: Endpoint, probe: Probe) -> Answer:
        del endpoint, probe
        self.asked += 1
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await self.may.wait()
            if isinstance(self.answer, Exception):
                raise self.answer
            return self.answer
        finally:
            self.under_way -= 1

    async def close(self) -> None:
        self.closed = True


class Collected:
    """Samples, and a way to wait for them."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self.some = asyncio.Event()

    def take(self, sample: Sample) -> None:
        self.samples.append(sample)
        self.some.set()

    async def wait_for(self, count: int) -> list[Sample]:
        async with asyncio.timeout(30.0):
            while len(self.samples) < count:
                self.some.clear()
                await self.some.wait()
        return self.samples


@asynccontextmanager
async def probing(
    told: Told, *, endpoints: int = ENDPOINTS, service_class: ServiceClass = ServiceClass.NORMAL
) -> AsyncIterator[tuple[Probing, Collected]]:
    lanes, collected = Lanes(), Collected()
    running = Probing(lanes, collected, Clock(), random.Random(1), {ProbeKind.TCP: told})
    one = agreement(endpoints=endpoints, probes=(PROBE,), service_class=service_class)
    running.follow(wanted(one))
    task = asyncio.create_task(running.run())
    try:
        yield running, collected
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await lanes.stop()
        assert told.closed


async def test_every_endpoint_is_probed_again_and_again() -> None:
    async with probing(Told(Answer(ok=True, latency_us=700))) as (running, collected):
        samples = await collected.wait_for(6)
        states = list(running.states("pay"))
    assert {one.endpoint for one in samples} == {"e0", "e1"}
    one = samples[0]
    assert (one.route, one.source, one.probe, one.latency_us, one.sent, one.answered) == (
        "pay",
        Source.PROBE,
        ProbeKind.TCP,
        700,
        1,
        1,
    )
    assert [state.sent > 0 and state.last_rtt_us == 700 for state in states] == [True, True]


async def test_what_this_machine_does_not_allow_is_told_and_is_no_sample() -> None:
    not_allowed = Answer(ok=False, latency_us=None, problem="not allowed; allow it", counts=False)
    async with probing(Told(not_allowed)) as (running, collected):
        async with asyncio.timeout(30.0):
            while {one.problem for one in running.states("pay")} != {"not allowed; allow it"}:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert collected.samples == []
        assert {one.sent for one in running.states("pay")} == {0}


async def test_a_prober_that_breaks_stops_no_probes() -> None:
    told = Told(ValueError("a bug"))
    async with probing(told) as (_, collected):
        await asyncio.sleep(0.2)
        told.answer = Answer(ok=True, latency_us=700)
        await collected.wait_for(2)


async def test_no_more_are_under_way_than_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(scheduling.UNDER_WAY_MAX, ServiceClass.BATCH, 3)
    told = Told(Answer(ok=True, latency_us=700))
    told.may.clear()
    async with probing(told, endpoints=10, service_class=ServiceClass.BATCH) as (_, collected):
        async with asyncio.timeout(30.0):
            while told.most < 3:  # noqa: ASYNC110 - it wakes nobody
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        assert told.most == 3
        told.may.set()
        samples = await collected.wait_for(30)
    assert len({one.endpoint for one in samples}) == 10


async def test_a_route_that_is_gone_is_not_probed_any_more() -> None:
    told = Told(Answer(ok=True, latency_us=700))
    async with probing(told) as (running, collected):
        await collected.wait_for(2)
        running.follow({})
        assert list(running.states("pay")) == []
        asked = told.asked
        await asyncio.sleep(0.2)
        assert told.asked <= asked + ENDPOINTS, "but for those that were on their way to be asked"
