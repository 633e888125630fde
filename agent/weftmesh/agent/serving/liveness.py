"""Whether the node answers calls on its own socket: what its watchdog's beats depend on."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

SILENT: Final = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})
"""What the client side says when no server did."""


class Liveness:
    """Asks the node's own health service, over its private socket, as any caller is served.

    It takes the event loop, gRPC's threads and the server to answer. A refusal is an answer: a node with more calls
    than it takes on is busy, not stuck.

    Args:
        upstream: the private socket.
    """

    def __init__(self, upstream: Path) -> None:
        self._channel = grpc.aio.insecure_channel(f"unix:{upstream}")
        self._health = health_pb2_grpc.HealthStub(self._channel)

    async def answers(self) -> bool:
        """Whether the node answered; waits for the answer."""
        try:
            await self._health.Check(health_pb2.HealthCheckRequest(), wait_for_ready=True)
        except grpc.aio.AioRpcError as error:
            return error.code() not in SILENT
        return True

    async def close(self) -> None:
        """Hang up."""
        await self._channel.close()
