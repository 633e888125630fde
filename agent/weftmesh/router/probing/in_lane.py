"""Probing whose most important questions are asked by the critical lane, on time whatever else the machine does."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

import structlog

from weftmesh.core.ola.model import ServiceClass
from weftmesh.router.following.wanted import WantedRoute
from weftmesh.router.probing import lane_ticks
from weftmesh.router.probing.planning import Ask, asks
from weftmesh.router.probing.scheduling import Probing
from weftmesh.router.probing.tallies import Tallies
from weftmesh.router.samples import Samples
from weftmesh.routing.v1 import routing_pb2
from weftmesh.runtime.lanes.critical.lane import CriticalLane, LaneSettings, LaneStatus
from weftmesh.runtime.lanes.critical.messages import Ending, Tick, TickResult

RATE_MAX: Final = 200.0
"""Questions a second in the lane: it goes before everything else on the machine, so it must stay small."""
_log = structlog.get_logger("weftmesh.router.probes")


class ProbingInLane:
    """Probes of critical services go to the critical lane, as many as it may ask; all others to `inner`.

    The lane's process is there from the first such probe on. A probe of gRPC's health service stays with `inner`.

    Args:
        inner: asks everything else.
        samples: told of every answer.
        ca_file: certificates of authorities that probes over TLS trust.
        settings: of the lane.
    """

    def __init__(
        self, inner: Probing, samples: Samples, ca_file: Path | None = None, settings: LaneSettings | None = None
    ) -> None:
        self._inner = inner
        self._ca_file = ca_file
        self._lane = CriticalLane([lane_ticks.MODULE], self._take, settings)
        self._asked: dict[str, Ask] = {}
        self._tallies = Tallies(samples)
        self._needed = asyncio.Event()

    def follow(self, routes: Mapping[str, WantedRoute]) -> None:
        """Probe what these routes want from now on."""
        for _ in self.follow_in_steps(routes):
            pass

    def follow_in_steps(self, routes: Mapping[str, WantedRoute]) -> Iterator[None]:
        """As `follow`, a route with each step."""
        in_lane = _in_lane(routes.values())
        self._asked = {_name(one): one for one in asks(in_lane.values())}
        self._tallies.begin(self._asked.values())
        self._lane.set_ticks([self._tick(name, one) for name, one in self._asked.items()])
        if self._asked:
            self._needed.set()
        yield from self._inner.follow_in_steps({name: _without(one, in_lane.get(name)) for name, one in routes.items()})

    def states(self, route: str) -> Iterator[routing_pb2.ProbeState]:
        """What came of a route's probes so far."""
        yield from self._inner.states(route)
        yield from self._tallies.states(route)

    def lane(self) -> LaneStatus:
        """How the lane is."""
        return self._lane.status()

    async def run(self) -> None:
        """Go on until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._inner.run())
                await self._needed.wait()
                await self._lane.start()
        finally:
            await self._lane.stop()

    def _tick(self, name: str, one: Ask) -> Tick:
        payload = lane_ticks.question(one.endpoint, one.probe, self._ca_file)
        return Tick(name, lane_ticks.TICK, one.probe.every_ms / 1e3, lane_ticks.tick_deadline_s(one.probe), payload)

    def _take(self, result: TickResult) -> None:
        one = self._asked.get(result.name)
        if one is None:
            return
        if result.ending is not Ending.DONE:
            why = result.payload.decode(errors="replace") or "it did not end in time"
            _log.error("a probe failed", endpoint=one.endpoint.address, why=why)
            return
        for told in lane_ticks.answers(result.payload):
            self._tallies.take(one, told.answer, told.ended_s, told.wall_ms)


def _in_lane(routes: Iterable[WantedRoute]) -> dict[str, WantedRoute]:
    """Critical routes with those of their probes that the lane makes: whole ones, until it would ask too often."""
    chosen: dict[str, WantedRoute] = {}
    left = RATE_MAX
    for route in sorted(routes, key=lambda one: one.name):
        probes = []
        for probe in route.probes if route.service_class is ServiceClass.CRITICAL else ():
            rate = len(route.endpoints) * 1e3 / probe.every_ms
            if probe.kind in lane_ticks.KINDS and rate <= left:
                left -= rate
                probes.append(probe)
        if probes:
            chosen[route.name] = dataclasses.replace(route, probes=tuple(probes))
    return chosen


def _without(route: WantedRoute, in_lane: WantedRoute | None) -> WantedRoute:
    if in_lane is None:
        return route
    return dataclasses.replace(route, probes=tuple(one for one in route.probes if one not in in_lane.probes))


def _name(one: Ask) -> str:
    """One for each question; people can read it too."""
    probe, endpoint = one.probe, one.endpoint
    how = (probe.kind.name, probe.path, probe.tls, probe.every_ms, probe.timeout_ms)
    return str((one.route, endpoint.name, endpoint.address, *how))
