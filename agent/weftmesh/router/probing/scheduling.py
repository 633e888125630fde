"""Asks every endpoint when it is due: by class, through the lanes, with bounds on how much is under way."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final, Protocol

import structlog

from weftmesh.core.errors import OverloadedError
from weftmesh.core.ola.model import ProbeKind, ServiceClass
from weftmesh.router.clock import Clock
from weftmesh.router.following.wanted import WantedRoute
from weftmesh.router.probing.answers import Answer, Prober
from weftmesh.router.probing.planning import Ask, Plan, asks
from weftmesh.router.probing.tallies import Tallies
from weftmesh.router.samples import Samples
from weftmesh.routing.v1 import routing_pb2

UNDER_WAY_MAX: Final = {ServiceClass.CRITICAL: 512, ServiceClass.NORMAL: 256, ServiceClass.BATCH: 64}
"""Probes of a class that wait for answers; further ones come later than their period says."""
GRACE_S: Final = 1.0
"""A prober that goes on for so long after its timeout is given up."""
_log = structlog.get_logger("weftmesh.router.probes")


class Runner(Protocol):
    """Runs jobs by class and deadline; `runtime.lanes.Lanes` does."""

    def submit(
        self,
        service_class: ServiceClass,
        deadline_s: float,
        work: Coroutine[Any, Any, None],
        *,
        name: str,
        service: str = "",
    ) -> asyncio.Task[None]:
        """Run `work`; see Lanes."""


class Probing:
    """Probes endpoints for as long as it runs.

    Args:
        lanes: where jobs run.
        samples: told of every answer.
        clock: of the process.
        rng: for jitter.
        probers: one for each kind; closed with this.
    """

    def __init__(
        self, lanes: Runner, samples: Samples, clock: Clock, rng: random.Random, probers: Mapping[ProbeKind, Prober]
    ) -> None:
        self._lanes = lanes
        self._clock = clock
        self._probers = probers
        self._plans = {one: Plan(rng) for one in ServiceClass}
        self._under_way = dict.fromkeys(ServiceClass, 0)
        self._routes: dict[str, WantedRoute] = {}
        self._tallies = Tallies(samples)
        self._changed = asyncio.Event()
        self._logged: set[str] = set()

    def follow(self, routes: Mapping[str, WantedRoute]) -> None:
        """Probe what these routes want from now on."""
        for _ in self.follow_in_steps(routes):
            pass

    def follow_in_steps(self, routes: Mapping[str, WantedRoute]) -> Iterator[None]:
        """As `follow`, a route with each step."""
        for name in [one for one in self._routes if one not in routes]:
            self._change(self._routes.pop(name), None)
            yield
        for name, route in routes.items():
            before = self._routes.get(name)
            if before is None or _probed(before) != _probed(route):
                self._routes[name] = route
                self._change(before, route)
            yield

    def _change(self, before: WantedRoute | None, after: WantedRoute | None) -> None:
        """Probe a route as it is now."""
        gone, wanted = (asks(() if one is None else (one,)) for one in (before, after))
        for service_class, plan in self._plans.items():
            less, more = ({one for one in some if one.service_class is service_class} for some in (gone, wanted))
            plan.change(less, more, self._clock.monotonic_s())
        self._tallies.replace(gone, wanted)
        self._changed.set()

    def states(self, route: str) -> Iterable[routing_pb2.ProbeState]:
        """What came of a route's probes so far."""
        return self._tallies.states(route)

    async def run(self) -> None:
        """Go on until cancelled."""
        try:
            while True:
                now_s = self._clock.monotonic_s()
                for service_class, plan in self._plans.items():
                    free = UNDER_WAY_MAX[service_class] - self._under_way[service_class]
                    for ask in plan.take_due(now_s, free):
                        self._begin(ask, now_s)
                await self._wait()
        finally:
            await asyncio.gather(*(one.close() for one in self._probers.values()))

    async def _wait(self) -> None:
        """Until something is due for which there is room, or something changed."""
        times = [
            due_s
            for one, plan in self._plans.items()
            if self._under_way[one] < UNDER_WAY_MAX[one] and (due_s := plan.next_due()) is not None
        ]
        self._changed.clear()
        timeout_s = max(0.0, min(times) - self._clock.monotonic_s()) if times else None
        # Not wait_for: in Python 3.11 it loses a cancellation that comes together with a change, and nothing ends.
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()

    def _begin(self, ask: Ask, now_s: float) -> None:
        self._under_way[ask.service_class] += 1
        deadline_s = ask.probe.timeout_ms / 1e3
        try:
            job = self._lanes.submit(
                ask.service_class, deadline_s, self._ask(ask, now_s), name="probe", service=ask.route
            )
        except OverloadedError as error:
            self._warn_once("lanes", str(error))
            self._end(ask, now_s, None)
            return
        job.add_done_callback(lambda done: self._gone(done, ask, now_s))

    def _gone(self, job: asyncio.Task[None], ask: Ask, asked_s: float) -> None:
        """A job that failed must not stop the probes of its endpoint."""
        if not job.cancelled() and (error := job.exception()) is not None:
            if self._is_first(f"{ask.probe.kind.name} {type(error).__name__}"):
                _log.error("a probe failed", kind=ask.probe.kind.name, endpoint=ask.endpoint.address, exc_info=error)
            self._end(ask, asked_s, None)
        elif job.cancelled():
            self._end(ask, asked_s, None)

    async def _ask(self, ask: Ask, asked_s: float) -> None:
        # In a task of its own: a lane makes each step wait for its turn, which is not the time of the network.
        prober = self._probers[ask.probe.kind]
        asking = asyncio.create_task(prober.ask(ask.endpoint, ask.probe))
        try:
            answer = await asyncio.wait_for(asking, ask.probe.timeout_ms / 1e3 + GRACE_S)
        except TimeoutError:
            answer = Answer(ok=False, latency_us=None, problem="the prober did not end in time")
        self._end(ask, asked_s, answer)

    def _end(self, ask: Ask, asked_s: float, answer: Answer | None) -> None:
        self._under_way[ask.service_class] -= 1
        now_s = self._clock.monotonic_s()
        self._plans[ask.service_class].ended(ask, answer is None or answer.ok or not answer.counts, asked_s, now_s)
        self._changed.set()
        if answer is None:
            return
        self._tallies.take(ask, answer, now_s, self._clock.wall_ms())
        if not answer.counts:
            self._warn_once(answer.problem, answer.problem)

    def _warn_once(self, key: str, why: str) -> None:
        if self._is_first(key):
            _log.warning("probes are left out", why=why)

    def _is_first(self, key: str) -> bool:
        """Whether nothing was logged under this key so far."""
        is_first = key not in self._logged
        self._logged.add(key)
        return is_first


def _probed(route: WantedRoute) -> tuple[object, ...]:
    """All of a route that its probes go by."""
    return route.endpoints, route.probes, route.service_class
