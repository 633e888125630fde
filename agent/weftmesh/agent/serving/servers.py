"""The two gRPC servers of a node: the mesh port under mTLS, and the private socket behind the local one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import grpc
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health import SERVICE_NAME as HEALTH_SERVICE
from grpc_reflection.v1alpha import reflection

from weftmesh.agent.access.enforcing import Enforcement
from weftmesh.agent.raft.peers.receiving import SERVER_OPTIONS
from weftmesh.agent.serving.guard import Guard
from weftmesh.agent.serving.services import Door, Service
from weftmesh.board.v1 import board_pb2
from weftmesh.core.errors import PreconditionError
from weftmesh.mesh.v1 import mesh_pb2
from weftmesh.runtime.config import Config
from weftmesh.runtime.doors.cutting import RevocationInterceptor
from weftmesh.runtime.health import Health
from weftmesh.runtime.identity.credentials import NodeIdentity, server_credentials
from weftmesh.runtime.rpc import CONCURRENT_CALLS_MAX, ErrorInterceptor, server_options
from weftmesh.runtime.rpc_gate import GateInterceptor

STOP_GRACE_S: Final = 2.0
"""For calls under way when the node stops."""
LOCAL_GRACE_S: Final = 1.0
"""For local calls under way; streams that stay open, such as watches, use all of it."""
MESH_STREAMS_MAX: Final = 100
"""Calls under way on one connection of the mesh port: the writes of a client share one, and so do those of a peer. What
a flood has begun stands in line before honest calls, at 0.4 ms each."""
LOCAL_STREAMS_MAX: Final = 256
"""And on one connection of the local socket: twice the watches and write streams that a caller may have."""
BOARD_SERVICE: Final = board_pb2.DESCRIPTOR.services_by_name["BoardService"].full_name
MESH_SERVICE: Final = mesh_pb2.DESCRIPTOR.services_by_name["MeshService"].full_name


class Servers:
    """Serves what the rooms of the node offer, each at its doors.

    Health (grpc.health.v1): the empty name serves as soon as the node answers at all; the board's name serves while
    this node has a quorum, so that a load balancer may prefer a node that can write.
    """

    def __init__(
        self,
        config: Config,
        identity: NodeIdentity,
        upstream: Path,
        guard: Guard,
        revocations: RevocationInterceptor,
        enforcement: Enforcement,
    ) -> None:
        self._listen = config.mesh.listen
        self._upstream = upstream
        self._identity = identity
        self._health = Health()
        # What peers send in one message is bounded by the log, not by what callers may send.
        further = dict(SERVER_OPTIONS) | {
            "grpc.max_concurrent_streams": MESH_STREAMS_MAX,
            "grpc.max_allowed_incoming_connections": guard.connections_max,
        }
        self._mesh = _server(config.limits.max_message_bytes, guard, further, revocations, enforcement)
        local = {"grpc.max_concurrent_streams": LOCAL_STREAMS_MAX}
        self._local = _server(config.limits.max_message_bytes, guard, local, enforcement)

    def add(self, services: list[Service]) -> None:
        """Say what is served, all at once; before `start`."""
        for door, server in ((Door.MESH, self._mesh), (Door.LOCAL, self._local)):
            here = [one for one in services if one.door & door]
            for one in here:
                one.register(server)
            health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
            names = (*(one.name for one in here), HEALTH_SERVICE, reflection.SERVICE_NAME)
            reflection.enable_server_reflection(names, server)

    async def start(self) -> None:
        """Listen on both.

        Raises:
            PreconditionError: an address cannot be listened on.
        """
        self._upstream.unlink(missing_ok=True)
        try:
            self._local.add_insecure_port(f"unix:{self._upstream}")
            self._mesh.add_secure_port(self._listen, server_credentials(self._identity))
        except RuntimeError as error:
            raise PreconditionError(
                f"cannot listen on {self._listen}: {error}. Free the port, or set [mesh] listen to another one"
            ) from error
        await self._local.start()
        await self._mesh.start()
        self._health.set("", serving=True)
        self._health.set(MESH_SERVICE, serving=True)
        self.follow_quorum(False)

    def follow_quorum(self, quorum: bool) -> None:
        """Show whether this node can write."""
        self._health.set(BOARD_SERVICE, serving=quorum)

    async def finish_local(self) -> None:
        """Take no more local calls, and answer those under way, within a bound: the one to leave is among them."""
        self._health.close()
        await self._local.stop(LOCAL_GRACE_S)

    async def stop(self) -> None:
        """Finish calls under way, within a bound."""
        self._health.close()
        await self._mesh.stop(STOP_GRACE_S)
        await self._local.stop(STOP_GRACE_S)


def _server(
    max_message_bytes: int,
    guard: Guard,
    further: Mapping[str, int] = MappingProxyType({}),
    *innermost: grpc.aio.ServerInterceptor,
) -> grpc.aio.Server:
    return grpc.aio.server(
        interceptors=[GateInterceptor(guard.calls), ErrorInterceptor(), *innermost],
        options=list((dict(server_options(max_message_bytes)) | dict(further)).items()),
        maximum_concurrent_rpcs=CONCURRENT_CALLS_MAX,
    )
