"""The two gRPC servers of a node: the mesh port under mTLS, and the private socket behind the local one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from weftmesh.agent.raft.peers.transport import SERVER_OPTIONS
from weftmesh.board.v1 import board_pb2, board_pb2_grpc
from weftmesh.core.errors import PreconditionError
from weftmesh.learning.v1 import learning_pb2, learning_pb2_grpc
from weftmesh.mesh.v1 import (
    audit_pb2,
    audit_pb2_grpc,
    backup_pb2,
    backup_pb2_grpc,
    mesh_pb2,
    mesh_pb2_grpc,
    raft_pb2,
    raft_pb2_grpc,
    recovery_pb2,
    recovery_pb2_grpc,
)
from weftmesh.privacy.v1 import privacy_pb2, privacy_pb2_grpc
from weftmesh.runtime.config import Config
from weftmesh.runtime.identity.credentials import NodeIdentity, server_credentials
from weftmesh.runtime.rpc import CONCURRENT_CALLS_MAX, ErrorInterceptor, server_options

STOP_GRACE_S: Final = 2.0
"""For calls under way when the node stops."""
LOCAL_GRACE_S: Final = 1.0
"""For local calls under way; streams that stay open, such as watches, use all of it."""
BOARD_SERVICE: Final = board_pb2.DESCRIPTOR.services_by_name["BoardService"].full_name
MESH_SERVICE: Final = mesh_pb2.DESCRIPTOR.services_by_name["MeshService"].full_name
RENEWAL_SERVICE: Final = mesh_pb2.DESCRIPTOR.services_by_name["RenewalService"].full_name
AUDIT_SERVICE: Final = audit_pb2.DESCRIPTOR.services_by_name["AuditService"].full_name
BACKUP_SERVICE: Final = backup_pb2.DESCRIPTOR.services_by_name["BackupService"].full_name
RECOVERY_SERVICE: Final = recovery_pb2.DESCRIPTOR.services_by_name["RecoveryService"].full_name
PRIVACY_SERVICE: Final = privacy_pb2.DESCRIPTOR.services_by_name["PrivacyService"].full_name
LEARNING_SERVICE: Final = learning_pb2.DESCRIPTOR.services_by_name["LearningService"].full_name
LEARNING_PEER_SERVICE: Final = learning_pb2.DESCRIPTOR.services_by_name["LearningPeerService"].full_name
RAFT_SERVICE: Final = raft_pb2.DESCRIPTOR.services_by_name["RaftService"].full_name


class Servers:
    """Serves the board and the mesh on both servers, and what only peers may call on the mesh port alone.

    Health (grpc.health.v1): the empty name serves as soon as the node answers at all; the board's name serves while
    this node has a quorum, so that a load balancer may prefer a node that can write.
    """

    def __init__(self, config: Config, identity: NodeIdentity, upstream: Path) -> None:
        self._listen = config.mesh.listen
        self._upstream = upstream
        self._identity = identity
        self._health = health.aio.HealthServicer()
        # What peers send in one message is bounded by the log, not by what callers may send.
        self._mesh = _server(config.limits.max_message_bytes, dict(SERVER_OPTIONS))
        self._local = _server(config.limits.max_message_bytes)

    def add(
        self,
        board: board_pb2_grpc.BoardServiceServicer,
        mesh: mesh_pb2_grpc.MeshServiceServicer,
        raft: raft_pb2_grpc.RaftServiceServicer,
        renewal: mesh_pb2_grpc.RenewalServiceServicer,
        backup: backup_pb2_grpc.BackupServiceServicer,
        audit: audit_pb2_grpc.AuditServiceServicer,
        recovery: recovery_pb2_grpc.RecoveryServiceServicer,
        privacy: privacy_pb2_grpc.PrivacyServiceServicer,
    ) -> None:
        """Say what is served; before `start`."""
        for server in (self._mesh, self._local):
            board_pb2_grpc.add_BoardServiceServicer_to_server(board, server)
            mesh_pb2_grpc.add_MeshServiceServicer_to_server(mesh, server)
            audit_pb2_grpc.add_AuditServiceServicer_to_server(audit, server)
            health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        raft_pb2_grpc.add_RaftServiceServicer_to_server(raft, self._mesh)
        mesh_pb2_grpc.add_RenewalServiceServicer_to_server(renewal, self._mesh)
        backup_pb2_grpc.add_BackupServiceServicer_to_server(backup, self._local)
        recovery_pb2_grpc.add_RecoveryServiceServicer_to_server(recovery, self._local)
        privacy_pb2_grpc.add_PrivacyServiceServicer_to_server(privacy, self._local)
        common = (BOARD_SERVICE, MESH_SERVICE, AUDIT_SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME)
        peers = (RAFT_SERVICE, RENEWAL_SERVICE, LEARNING_PEER_SERVICE)
        processes = (BACKUP_SERVICE, RECOVERY_SERVICE, PRIVACY_SERVICE, LEARNING_SERVICE)
        reflection.enable_server_reflection((*common, *peers), self._mesh)
        reflection.enable_server_reflection((*common, *processes), self._local)

    def add_learning(
        self,
        service: learning_pb2_grpc.LearningServiceServicer,
        peer_service: learning_pb2_grpc.LearningPeerServiceServicer,
    ) -> None:
        """Say who serves learning: this node's processes on the local socket, members on the mesh port."""
        learning_pb2_grpc.add_LearningServiceServicer_to_server(service, self._local)
        learning_pb2_grpc.add_LearningPeerServiceServicer_to_server(peer_service, self._mesh)

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
        await self._health.set("", health_pb2.HealthCheckResponse.SERVING)
        await self._health.set(MESH_SERVICE, health_pb2.HealthCheckResponse.SERVING)
        await self.follow_quorum(False)

    async def follow_quorum(self, quorum: bool) -> None:
        """Show whether this node can write."""
        serving = health_pb2.HealthCheckResponse.SERVING if quorum else health_pb2.HealthCheckResponse.NOT_SERVING
        await self._health.set(BOARD_SERVICE, serving)

    async def finish_local(self) -> None:
        """Take no more local calls, and answer those under way, within a bound: the one to leave is among them."""
        await self._health.enter_graceful_shutdown()
        await self._local.stop(LOCAL_GRACE_S)

    async def stop(self) -> None:
        """Finish calls under way, within a bound."""
        await self._health.enter_graceful_shutdown()
        await self._mesh.stop(STOP_GRACE_S)
        await self._local.stop(STOP_GRACE_S)


def _server(max_message_bytes: int, further: Mapping[str, int] = MappingProxyType({})) -> grpc.aio.Server:
    return grpc.aio.server(
        interceptors=[ErrorInterceptor()],
        options=list((dict(server_options(max_message_bytes)) | dict(further)).items()),
        maximum_concurrent_rpcs=CONCURRENT_CALLS_MAX,
    )
