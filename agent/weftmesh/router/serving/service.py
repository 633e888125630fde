"""RoutingService: what programs and people of this machine ask the router."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, Final

import grpc

from weftmesh.core.errors import WeftmeshError
from weftmesh.core.routing.model import Decision
from weftmesh.router.clock import Clock
from weftmesh.router.following.contact import Contact
from weftmesh.router.routes.tables import Tables, no_route
from weftmesh.router.serving.reports import Reports
from weftmesh.router.serving.tickets import Tickets
from weftmesh.router.serving.views import table_view
from weftmesh.router.serving.watching import Watching
from weftmesh.routing.v1 import decision_pb2, routing_pb2, routing_pb2_grpc
from weftmesh.runtime.lanes.slicing import unhurried
from weftmesh.runtime.metrics.histogram import Histogram
from weftmesh.runtime.rpc import waits
from weftmesh.runtime.wire.decisions import decision_message, reading_message
from weftmesh.runtime.wire.learning_records import fill

Context = grpc.aio.ServicerContext[Any, Any]
NAME: Final = routing_pb2.DESCRIPTOR.services_by_name["RoutingService"].full_name


class RoutingService(routing_pb2_grpc.RoutingServiceServicer):  # type: ignore[misc]  # generated without annotations
    """Answers from what the process knows; nothing here waits for anybody else.

    Args:
        tables: of this node.
        tickets: of requests that will be reported.
        reports: takes reports in.
        watching: streams tables.
        contact: how stale the tables are.
        clock: of the process.
        probes: what is known of the probes of a route.
        lanes: how long work waits for its turn.
        decisions: of a route after a number, the oldest first.
        resolve_times: told how many seconds each choice took.
    """

    def __init__(
        self,
        tables: Tables,
        tickets: Tickets,
        reports: Reports,
        watching: Watching,
        contact: Contact,
        clock: Clock,
        probes: Callable[[str], Iterable[routing_pb2.ProbeState]],
        lanes: Callable[[], routing_pb2.Lanes],
        decisions: Callable[[str, int], Iterable[Decision]],
        resolve_times: Histogram | None = None,
    ) -> None:
        self._tables = tables
        self._tickets = tickets
        self._reports = reports
        self._watching = watching
        self._contact = contact
        self._clock = clock
        self._probes = probes
        self._lanes = lanes
        self._decisions = decisions
        self._resolve_times = resolve_times or Histogram()

    async def Resolve(self, request: routing_pb2.ResolveRequest, context: Context) -> routing_pb2.ResolveResponse:  # noqa: N802, ARG002
        """See the service's definition.

        Raises:
            NotFoundError: there is no such route.
        """
        live, now_s = self._tables.live(request.route), self._clock.monotonic_s()
        if live is None:
            raise no_route(request.route)
        began_s = time.perf_counter()
        found = live.choose(now_s, request.avoid)
        self._resolve_times.observe(time.perf_counter() - began_s)
        ticket = 0
        if request.will_report and (ticket := self._tickets.give(request.route, found.name, now_s)):
            live.sent(found.name)
        return routing_pb2.ResolveResponse(
            endpoint=found.name,
            address=found.address,
            zone=found.zone,
            ticket=ticket,
            table_version=self._tables.version(request.route),
            stale_ms=self._contact.stale_ms(),
            basis=routing_pb2.BASIS_COST if live.per_request else routing_pb2.BASIS_WEIGHTS,
        )

    async def WatchRoutes(  # noqa: N802
        self,
        request: routing_pb2.WatchRoutesRequest,
        context: Context,  # noqa: ARG002
    ) -> AsyncIterator[routing_pb2.RouteTable]:
        """See the service's definition."""
        async for table in self._watching.watch(request.routes):
            yield table

    @waits
    async def Report(  # noqa: N802
        self,
        requests: AsyncIterator[routing_pb2.ReportRequest],
        context: Context,  # noqa: ARG002
    ) -> routing_pb2.ReportResponse:
        """See the service's definition. A report that is refused does not stop those after it."""
        answer = routing_pb2.ReportResponse()
        async for request in requests:
            async for report in unhurried(request.reports):
                try:
                    self._reports.take(report)
                except WeftmeshError as error:
                    answer.refused += 1
                    answer.first_refusal = answer.first_refusal or str(error)
                else:
                    answer.taken += 1
        return answer

    async def GetRoutes(  # noqa: N802
        self,
        request: routing_pb2.GetRoutesRequest,
        context: Context,  # noqa: ARG002
    ) -> AsyncIterator[routing_pb2.RouteTable]:
        """See the service's definition.

        Raises:
            NotFoundError: a route that was asked for is not there.
        """
        for name in tuple(request.routes) or self._tables.names():
            if self._tables.live(name) is not None:
                yield table_view(self._tables, self._contact, name, reasons=True)
            elif request.routes:
                raise no_route(name)

    async def ExplainRoute(  # noqa: N802
        self,
        request: routing_pb2.ExplainRouteRequest,
        context: Context,  # noqa: ARG002
    ) -> routing_pb2.RouteExplanation:
        """See the service's definition.

        Raises:
            NotFoundError: there is no such route.
        """
        name = request.route
        live, inputs = self._tables.live(name), self._tables.inputs(name)
        if live is None or inputs is None:
            raise no_route(name)
        answer = routing_pb2.RouteExplanation(
            table=table_view(self._tables, self._contact, name, reasons=True),
            story=self._tables.story(name),
            probes=self._probes(name),
            refused=self._tables.refused(name),
        )
        fill(answer.settings, inputs.settings)
        for order in inputs.overrides:
            fill(answer.orders.add(), order)
        answer.readings.extend(map(reading_message, live.seen(self._clock.monotonic_s())))
        return answer

    async def GetLanes(self, request: routing_pb2.GetLanesRequest, context: Context) -> routing_pb2.Lanes:  # noqa: N802, ARG002
        """See the service's definition."""
        return self._lanes()

    async def GetDecisions(  # noqa: N802
        self,
        request: routing_pb2.GetDecisionsRequest,
        context: Context,  # noqa: ARG002
    ) -> AsyncIterator[decision_pb2.Decision]:
        """See the service's definition."""
        for decision in self._decisions(request.route, request.after):
            yield decision_message(decision)
