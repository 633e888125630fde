"""`weftmesh.routing.v1.RoutingService`: where the next request should go, and how requests went."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import grpc

from weftmesh.client.calls import Calls
from weftmesh.client.errors import ROUTER_SOCKET_NAME, from_call_error, unanswered
from weftmesh.client.limits import CALL_TIMEOUT_S
from weftmesh.client.target import default_target, open_channel
from weftmesh.routing.v1 import decision_pb2, routing_pb2, routing_pb2_grpc

ROUTER_SOCKET_ENV: Final = "WEFTMESH_ROUTER_SOCKET"
REPORTS_MAX: Final = 256
"""In one message."""
REPORTS_WAITING_MAX: Final = 10_000
"""Further ones are left out: a report says little once it is late."""


def router_target(node_target: str | None = None) -> str:
    """Where the router listens: `WEFTMESH_ROUTER_SOCKET`, else router.sock beside the node's socket.

    Args:
        node_target: the node's socket; None for the default one.
    """
    if path := os.environ.get(ROUTER_SOCKET_ENV):
        return path
    node = (node_target or default_target()).removeprefix("unix:")
    return str(Path(node).with_name(ROUTER_SOCKET_NAME))


@asynccontextmanager
async def connect_router(target: str | None = None) -> AsyncIterator[RoutingApi]:
    """A client of the router of this machine, for as long as the block runs; it connects with the first call.

    Args:
        target: path of the router's socket; None for the default one.
    """
    address = target or router_target()
    async with open_channel(address, None) as channel:
        api = RoutingApi(Calls(channel, address))
        try:
            yield api
        finally:
            await api.close()


class RoutingApi:
    """The router's calls. Calls raise WeftmeshError; safe to share between the tasks of one event loop."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._stub: Any = routing_pb2_grpc.RoutingServiceStub(calls.channel)
        self._reporter: _Reporter | None = None

    async def resolve(
        self, route: str, *, will_report: bool = False, avoid: Collection[str] = (), timeout_s: float = CALL_TIMEOUT_S
    ) -> routing_pb2.ResolveResponse:
        """Where the next request of `route` should go.

        Args:
            route: the service's name.
            will_report: whether `report` will be called with the ticket of the answer.
            avoid: endpoints that the request failed at already.
            timeout_s: for the answer.

        Raises:
            NotFoundError: there is no such route.
            NodeUnreachableError: no router listens.
        """
        request = routing_pb2.ResolveRequest(route=route, will_report=will_report, avoid=avoid)
        answer: routing_pb2.ResolveResponse = await self._calls.once(self._stub.Resolve, request, timeout_s)
        return answer

    def report(self, report: routing_pb2.RequestReport) -> None:
        """Say how a request went; returns at once. What cannot be sent soon is left out."""
        if self._reporter is None:
            self._reporter = _Reporter(self._stub)
        self._reporter.put(report)

    async def report_now(self, reports: Iterable[routing_pb2.RequestReport]) -> routing_pb2.ReportResponse:
        """Say how requests went, and wait until the router has taken it in."""
        call = self._stub.Report(_batches(reports), timeout=CALL_TIMEOUT_S)
        try:
            answer: routing_pb2.ReportResponse = await call
        except grpc.aio.AioRpcError as error:
            raise from_call_error(error, self._calls.target) from error
        return answer

    def watch_routes(self, routes: Collection[str] = ()) -> AsyncGenerator[routing_pb2.RouteTable, None]:
        """The tables of `routes`, or of all, at once and with each change, until the call breaks."""
        return self._stream(self._stub.WatchRoutes(routing_pb2.WatchRoutesRequest(routes=routes)))

    async def get_routes(self, routes: Collection[str] = ()) -> list[routing_pb2.RouteTable]:
        """The tables of `routes`, or of all, with reasons.

        Raises:
            NotFoundError: one is not there.
        """
        request = routing_pb2.GetRoutesRequest(routes=routes)
        return [one async for one in self._stream(self._stub.GetRoutes(request, timeout=CALL_TIMEOUT_S))]

    async def explain_route(self, route: str, *, timeout_s: float | None = None) -> routing_pb2.RouteExplanation:
        """All that a route's table follows from.

        Raises:
            NotFoundError: it is not there.
        """
        request = routing_pb2.ExplainRouteRequest(route=route)
        answer: routing_pb2.RouteExplanation = await self._calls.once(self._stub.ExplainRoute, request, timeout_s)
        return answer

    async def get_lanes(self, *, timeout_s: float | None = None) -> routing_pb2.Lanes:
        """How long the router's work waits for its turn."""
        answer: routing_pb2.Lanes = await self._calls.once(
            self._stub.GetLanes, routing_pb2.GetLanesRequest(), timeout_s
        )
        return answer

    async def get_decisions(self, route: str, after: int = 0) -> list[decision_pb2.Decision]:
        """The latest decisions of a route with numbers above `after`, the oldest first."""
        request = routing_pb2.GetDecisionsRequest(route=route, after=after)
        return [one async for one in self._stream(self._stub.GetDecisions(request, timeout=CALL_TIMEOUT_S))]

    async def close(self) -> None:
        """Send what `report` was told, within a bound."""
        if self._reporter is not None:
            await self._reporter.close()

    async def _stream(self, call: Any) -> AsyncGenerator[Any, None]:
        try:
            async for message in call:
                yield message
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNAVAILABLE:
                raise unanswered(self._calls.target, error.details() or "no answer") from error
            raise from_call_error(error, self._calls.target) from error
        finally:
            call.cancel()


def _batches(reports: Iterable[routing_pb2.RequestReport]) -> list[routing_pb2.ReportRequest]:
    kept = list(reports)
    return [
        routing_pb2.ReportRequest(reports=kept[begin : begin + REPORTS_MAX])
        for begin in range(0, len(kept), REPORTS_MAX)
    ]


class _Reporter:
    """One stream of reports, opened again when it breaks."""

    CLOSE_S: Final = 1.0
    PAUSE_S: Final = 0.5

    def __init__(self, stub: Any) -> None:
        self._stub = stub
        self._waiting: list[routing_pb2.RequestReport] = []
        self._some = asyncio.Event()
        self._closing = False
        self._task = asyncio.create_task(self._run())

    def put(self, report: routing_pb2.RequestReport) -> None:
        if len(self._waiting) < REPORTS_WAITING_MAX:
            self._waiting.append(report)
            self._some.set()

    async def close(self) -> None:
        self._closing = True
        self._some.set()
        await asyncio.wait([self._task], timeout=self.CLOSE_S)
        self._task.cancel()

    async def _run(self) -> None:
        while not self._closing:
            try:
                await self._stub.Report(self._messages())
            except grpc.aio.AioRpcError:
                await asyncio.sleep(self.PAUSE_S)

    async def _messages(self) -> AsyncIterator[routing_pb2.ReportRequest]:
        while True:
            if not self._waiting:
                if self._closing:
                    return
                self._some.clear()
                await self._some.wait()
                continue
            now, self._waiting = self._waiting[:REPORTS_MAX], self._waiting[REPORTS_MAX:]
            yield routing_pb2.ReportRequest(reports=now)
