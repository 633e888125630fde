"""The server on router.sock. Whoever may write to the socket may ask and report; nothing there changes agreements."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import grpc
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health import SERVICE_NAME as HEALTH_SERVICE
from grpc_reflection.v1alpha import reflection

from weftmesh.router.serving import sockets
from weftmesh.router.serving.guard import Guard
from weftmesh.router.serving.service import NAME, RoutingService
from weftmesh.routing.v1 import routing_pb2_grpc
from weftmesh.runtime.health import Health
from weftmesh.runtime.rpc import MESSAGE_BYTES_MAX as SENT_BYTES_MAX
from weftmesh.runtime.rpc import ErrorInterceptor, server_options
from weftmesh.runtime.rpc_gate import GateInterceptor

STOP_GRACE_S: Final = 1.0
STREAMS_MAX: Final = 100
"""Calls under way on one connection: what one program has begun stands in line before the calls of others."""
MESSAGE_BYTES_MAX: Final = 1024 * 1024
"""One message: ten thousand reports and more; what is asked is a few bytes."""
CALLS_MAX: Final = 1_024
"""Calls under way: programs that watch or report have one each, and what is asked is answered at once."""
ARRIVAL_S: Final = 5.0
"""For a request to arrive: both ends are on one machine."""


class Serving:
    """Serves RoutingService, grpc.health.v1 and reflection.

    Args:
        path: of the socket.
        group: its owner group; empty leaves the process's own.
        service: answers.
        guard: bounds callers and connections.
    """

    def __init__(self, path: Path, group: str, service: RoutingService, guard: Guard) -> None:
        self._path = path
        self._group = group
        self._health = Health()
        self._is_bound = False
        options = dict(server_options(min(MESSAGE_BYTES_MAX, guard.limits.max_message_bytes))) | {
            "grpc.max_send_message_length": SENT_BYTES_MAX,
            "grpc.max_concurrent_streams": STREAMS_MAX,
            "grpc.max_allowed_incoming_connections": guard.connections_max,
        }
        self._server = grpc.aio.server(
            interceptors=[GateInterceptor(guard.local, ARRIVAL_S), ErrorInterceptor()],
            options=list(options.items()),
            maximum_concurrent_rpcs=CALLS_MAX,
        )
        routing_pb2_grpc.add_RoutingServiceServicer_to_server(service, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection((NAME, HEALTH_SERVICE, reflection.SERVICE_NAME), self._server)

    async def start(self) -> None:
        """Listen.

        Raises:
            PreconditionError: another process listens there, or something that is no socket is in the way.
            ConfigError: the socket cannot be made, or the group cannot be given.
        """
        sockets.bind(self._server, self._path, self._group)
        self._is_bound = True
        await self._server.start()
        for name in ("", NAME):
            self._health.set(name, serving=True)

    async def stop(self) -> None:
        """Finish calls under way, within a bound."""
        self._health.close()
        await self._server.stop(STOP_GRACE_S)
        if self._is_bound:  # otherwise it is another router's
            self._path.unlink(missing_ok=True)
