"""The aggregated discovery service: one stream for each client, in either form, over the same machines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final, Protocol, TypeVar

import grpc
import structlog
from google.protobuf.message import Message

from weftmesh.router.serving.call_limits import Paces
from weftmesh.router.xds.admission import Admission
from weftmesh.router.xds.catalog import EMPTY, Catalog
from weftmesh.router.xds.clients import Client, Clients
from weftmesh.router.xds.delta import DeltaStream
from weftmesh.router.xds.receipts import Receipts, Verdict
from weftmesh.router.xds.wire import delta_request, delta_response, world_request, world_response
from weftmesh.router.xds.world import WorldStream
from weftmesh.runtime.rpc import waits
from weftmesh.runtime.rpc_gate import Context
from weftmesh.xds.v3 import discovery_pb2

SERVICE: Final = "envoy.service.discovery.v3.AggregatedDiscoveryService"

_log = structlog.stdlib.get_logger("weftmesh.xds")

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")
RequestIn = TypeVar("RequestIn", contravariant=True)
ResponseOut = TypeVar("ResponseOut", covariant=True)
Asked = TypeVar("Asked", discovery_pb2.DiscoveryRequest, discovery_pb2.DeltaDiscoveryRequest)
Told = TypeVar("Told", bound=Message)


class Machine(Protocol[RequestIn, ResponseOut]):
    """One client's side of the protocol: `WorldStream` or `DeltaStream`."""

    @property
    def receipts(self) -> Receipts:
        """What became of the responses."""

    def take(self, request: RequestIn, now_s: float) -> Verdict:
        """Take a request in."""

    def due(self, catalog: Catalog, now_s: float) -> Sequence[ResponseOut]:
        """What to tell the client now."""


class Discovery:
    """Tells each client what it subscribed to, whenever that changes. Belongs to one event loop.

    Args:
        admission: who may subscribe.
        paces: bounds how fast clients ask.
        clock: monotonic seconds.
    """

    def __init__(self, admission: Admission, paces: Paces, clock: Callable[[], float]) -> None:
        self.clients = Clients()
        self._admission = admission
        self._paces = paces
        self._clock = clock
        self._catalog = EMPTY
        self._knows_any = False
        self._wakes: set[asyncio.Event] = set()

    @property
    def catalog(self) -> Catalog:
        """What clients are told now."""
        return self._catalog

    def publish(self, catalog: Catalog) -> None:
        """Tell every client what is new to it. Changes that come faster than a client reads are told as one.

        Until there is a first route, nothing is told: a router that has just started and has not heard of its
        agreements would take their routes from clients that still have them.
        """
        self._catalog = catalog
        self._knows_any = self._knows_any or bool(catalog.routes)
        for wake in self._wakes:
            wake.set()

    def handler(self) -> grpc.GenericRpcHandler:
        """What a gRPC server registers."""
        world = grpc.stream_stream_rpc_method_handler(
            self._world, discovery_pb2.DiscoveryRequest.FromString, _serialize
        )
        delta = grpc.stream_stream_rpc_method_handler(
            self._delta, discovery_pb2.DeltaDiscoveryRequest.FromString, _serialize
        )
        methods: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            "StreamAggregatedResources": world,
            "DeltaAggregatedResources": delta,
        }
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    @waits
    def _world(
        self, requests: AsyncIterator[discovery_pb2.DiscoveryRequest], context: Context
    ) -> AsyncIterator[discovery_pb2.DiscoveryResponse]:
        machine = WorldStream()
        return self._follow(machine, requests, context, world_request, world_response)

    @waits
    def _delta(
        self, requests: AsyncIterator[discovery_pb2.DeltaDiscoveryRequest], context: Context
    ) -> AsyncIterator[discovery_pb2.DeltaDiscoveryResponse]:
        return self._follow(DeltaStream(), requests, context, delta_request, delta_response)

    async def _follow(
        self,
        machine: Machine[RequestT, ResponseT],
        requests: AsyncIterator[Asked],
        context: Context,
        parse: Callable[[Asked], RequestT | None],
        render: Callable[[ResponseT], Told],
    ) -> AsyncIterator[Told]:
        """Serve one stream until the client ends it."""
        client = Client(self._admission.subject(context), isinstance(machine, DeltaStream), machine.receipts)
        wake = asyncio.Event()
        paced = self._paces.paced(requests, context)
        reading = asyncio.create_task(self._read(machine, paced, client, parse, wake))
        reading.add_done_callback(lambda _: wake.set())
        self._wakes.add(wake)
        with self.clients.following(client):
            try:
                while not reading.done():
                    await wake.wait()
                    wake.clear()
                    if self._knows_any:
                        for response in machine.due(self._catalog, self._clock()):
                            yield render(response)
                await reading
            finally:
                self._wakes.discard(wake)
                reading.cancel()

    async def _read(
        self,
        machine: Machine[RequestT, ResponseT],
        requests: AsyncIterator[Asked],
        client: Client,
        parse: Callable[[Asked], RequestT | None],
        wake: asyncio.Event,
    ) -> None:
        """Take requests in as they come, also while a response is being written."""
        async for message in requests:
            if message.node.id:
                client.node, client.agent = message.node.id[:256], message.node.user_agent_name[:64]
            request = parse(message)
            if request is None:
                _log.debug("no such resources here", node=client.node, type_url=message.type_url[:200])
                continue
            if machine.take(request, self._clock()) is Verdict.NACK and machine.receipts.refusal is not None:
                refusal = machine.receipts.refusal
                _log.warning(
                    "a client refuses a table", node=client.node, kind=refusal.kind.name, error=refusal.error[:500]
                )
            wake.set()


def _serialize(message: Message) -> bytes:
    return message.SerializeToString()
