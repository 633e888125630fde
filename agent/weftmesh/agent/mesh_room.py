"""The mesh on one node: its members and their certificates, backups, the log's own port, and the last resort."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from weftmesh.agent.backup_service import BACKUP_MARK, BackupServicer
from weftmesh.agent.enrolment.admission import Admission
from weftmesh.agent.mesh_service import MeshServicer
from weftmesh.agent.raft.peers.receiving import RaftServicer
from weftmesh.agent.recovery_service import Abandoned, RecoveryServicer
from weftmesh.agent.rooms import Ground, Work
from weftmesh.agent.serving.services import Door, Service, service
from weftmesh.agent.status import NodeFacts, StatusReporter
from weftmesh.agent.trust.roll_call import RollCall
from weftmesh.mesh.v1 import (
    backup_pb2,
    backup_pb2_grpc,
    mesh_pb2,
    mesh_pb2_grpc,
    raft_pb2,
    raft_pb2_grpc,
    recovery_pb2,
    recovery_pb2_grpc,
)


class MeshRoom:
    """Implements `rooms.Room`.

    Args:
        ground: see Ground.
        facts: of the node.
        reporter: says how it is doing.
        raft: takes what peers send.
        admission: who may come in and stay.
        abandoned: voters that were given up.
        on_left: called when this node is out of the mesh.
    """

    def __init__(
        self,
        ground: Ground,
        facts: NodeFacts,
        reporter: StatusReporter,
        raft: RaftServicer,
        admission: Admission,
        *,
        abandoned: Abandoned,
        on_left: Callable[[], None],
    ) -> None:
        home, callers, tokens = ground.homes.mesh, ground.callers, admission.tokens
        self._raft = raft
        self._renewal = admission.renewal
        roll = RollCall(ground.identity, ground.dial)
        self._mesh = MeshServicer(
            facts.node, home.engine, reporter, callers, tokens, on_left, ground.features, roll.has_authority
        )
        mark = ground.config.node.data_dir / BACKUP_MARK
        self._backup = BackupServicer(facts.node, facts.cluster, ground.homes, callers, mark)
        self._recovery = RecoveryServicer(facts, home, callers, abandoned, ground.dial, tokens.has_authority)

    @property
    def services(self) -> Sequence[Service]:
        """See Room."""
        return [
            service(mesh_pb2.DESCRIPTOR, "MeshService", mesh_pb2_grpc, self._mesh, Door.BOTH),
            service(raft_pb2.DESCRIPTOR, "RaftService", raft_pb2_grpc, self._raft, Door.MESH),
            service(mesh_pb2.DESCRIPTOR, "RenewalService", mesh_pb2_grpc, self._renewal, Door.MESH),
            service(backup_pb2.DESCRIPTOR, "BackupService", backup_pb2_grpc, self._backup, Door.LOCAL),
            service(recovery_pb2.DESCRIPTOR, "RecoveryService", recovery_pb2_grpc, self._recovery, Door.LOCAL),
        ]

    def work(self) -> Sequence[Work]:
        """See Room: the node itself joins, and keeps its certificate fresh."""
        return ()

    async def close(self) -> None:
        """See Room: the doors are closed by then, and nothing is left."""
