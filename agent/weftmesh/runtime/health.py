"""grpc.health.v1: what is served here, and word to whoever watches.

The servicer of grpcio-health-checking holds a lock while it writes to a watcher, so one that does not read holds up
every change and the end of the process; and the first watcher of a service that leaves takes word from the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from weftmesh.core.errors import NotFoundError

Context = grpc.aio.ServicerContext[health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse]
Status = health_pb2.HealthCheckResponse


class Health(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # generated, untyped
    """Serves the statuses that it is given. A watcher that is slow misses what came between, and delays nobody."""

    def __init__(self) -> None:
        self._serving: dict[str, bool] = {}
        self._changed = asyncio.Event()
        self._is_open = True

    def set(self, service: str, *, serving: bool) -> None:
        """Say whether a service is served, unless all is closed; the empty name is the whole server."""
        self._serving[service] = serving and self._is_open
        self._tell()

    def close(self) -> None:
        """Say of every service that it is not served, from now on for ever."""
        self._is_open = False
        self._serving = dict.fromkeys(self._serving, False)
        self._tell()

    def _tell(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _status(self, service: str) -> health_pb2.HealthCheckResponse:
        serving = self._serving.get(service)
        if serving is None:
            return Status(status=Status.SERVICE_UNKNOWN)
        return Status(status=Status.SERVING if serving else Status.NOT_SERVING)

    async def Check(  # noqa: N802 - the name is the protocol's
        self, request: health_pb2.HealthCheckRequest, _context: Context
    ) -> health_pb2.HealthCheckResponse:
        """Answer with the status of now.

        Raises:
            NotFoundError: there is no such service.
        """
        if request.service not in self._serving:
            raise NotFoundError(f"there is no service {request.service[:200]!r} here; reflection lists them")
        return self._status(request.service)

    async def Watch(  # noqa: N802 - the name is the protocol's
        self, request: health_pb2.HealthCheckRequest, _context: Context
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """Answer with the status of now, and with each that follows."""
        told: health_pb2.HealthCheckResponse | None = None
        while True:
            changed, status = self._changed, self._status(request.service)
            if status != told:
                told = status
                yield status
            await changed.wait()
