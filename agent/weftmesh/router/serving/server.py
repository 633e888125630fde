"""The server on router.sock. Whoever may write to the socket may ask and report; nothing there changes agreements."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from weftmesh.router.serving import sockets
from weftmesh.router.serving.service import NAME, RoutingService
from weftmesh.routing.v1 import routing_pb2_grpc
from weftmesh.runtime.rpc import CONCURRENT_CALLS_MAX, ErrorInterceptor, server_options

STOP_GRACE_S: Final = 1.0


class Serving:
    """Serves RoutingService, grpc.health.v1 and reflection.

    Args:
        path: of the socket.
        group: its owner group; empty leaves the process's own.
        service: answers.
    """

    def __init__(self, path: Path, group: str, service: RoutingService) -> None:
        self._path = path
        self._group = group
        self._health = health.aio.HealthServicer()
        self._is_bound = False
        self._server = grpc.aio.server(
            interceptors=[ErrorInterceptor()],
            options=server_options(),
            maximum_concurrent_rpcs=CONCURRENT_CALLS_MAX,
        )
        routing_pb2_grpc.add_RoutingServiceServicer_to_server(service, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection((NAME, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server)

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
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    async def stop(self) -> None:
        """Finish calls under way, within a bound."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(STOP_GRACE_S)
        if self._is_bound:  # otherwise it is another router's
            self._path.unlink(missing_ok=True)
