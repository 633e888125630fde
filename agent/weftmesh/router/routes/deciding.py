"""Looks at every route when it is due; routes of a better class first, in slices."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from weftmesh.core.errors import OverloadedError
from weftmesh.router.clock import Clock
from weftmesh.router.probing.scheduling import Runner
from weftmesh.router.routes.tables import Tables
from weftmesh.router.serving.tickets import Tickets
from weftmesh.runtime.lanes.slicing import returned

TICK_S: Final = 0.05
DEADLINE_S: Final = 0.1
STEP_S: Final = 0.001
"""How long a decision goes on before it gives its turn back; of a thousand endpoints, one more step takes as long."""
_log = structlog.get_logger("weftmesh.router")


class Deciding:
    """Goes on for as long as it runs.

    Args:
        tables: of this node.
        tickets: expire here.
        lanes: where decisions are computed.
        clock: of the process.
    """

    def __init__(self, tables: Tables, tickets: Tickets, lanes: Runner, clock: Clock) -> None:
        self._tables = tables
        self._tickets = tickets
        self._lanes = lanes
        self._clock = clock
        self._under_way: set[str] = set()

    async def run(self) -> None:
        """Go on until cancelled."""
        while True:
            self._tickets.expire(self._clock.monotonic_s())
            for route in self._tables.due():
                if route not in self._under_way:
                    self._begin(route)
            await asyncio.sleep(TICK_S)

    def _begin(self, route: str) -> None:
        service_class = self._tables.wanted(route).service_class
        try:
            job = self._lanes.submit(service_class, DEADLINE_S, self._decide(route), name="decide", service=route)
        except OverloadedError as error:
            _log.warning("a decision comes later", route=route, why=str(error))
            return
        self._under_way.add(route)
        job.add_done_callback(lambda done: self._gone(done, route))

    async def _decide(self, route: str) -> None:
        await returned(self._tables.evaluate_in_steps(route), STEP_S)

    def _gone(self, job: asyncio.Task[None], route: str) -> None:
        self._under_way.discard(route)
        if not job.cancelled() and (error := job.exception()) is not None:
            _log.error("a decision failed", route=route, exc_info=error)
