"""Agreements on one node."""

from __future__ import annotations

from collections.abc import Sequence

from weftmesh.agent.board.machine_log import MachineLog
from weftmesh.agent.learning.member_keys import MemberKeys
from weftmesh.agent.learning.peers import Peers
from weftmesh.agent.learning.replica import Replica as MembersReplica
from weftmesh.agent.ola.access import Access
from weftmesh.agent.ola.changing import Changes
from weftmesh.agent.ola.replica import Replica
from weftmesh.agent.ola.service import OlaServicer
from weftmesh.agent.ola.signing import WindowSigner
from weftmesh.agent.ola.verifying import WindowVerifier
from weftmesh.agent.rooms import Ground, Work
from weftmesh.agent.serving.services import Door, Service, service
from weftmesh.core.ola.replicated.outcomes import OlaOutcome
from weftmesh.ola.v1 import ola_pb2, ola_pb2_grpc


class OlaRoom:
    """Implements `rooms.Room`; runs nothing by itself."""

    def __init__(self, ground: Ground, cluster: str) -> None:
        mesh, identity = ground.homes.mesh, ground.identity
        replica = Replica(mesh)
        changes = Changes(
            identity.node,
            replica,
            MachineLog(mesh.engine, "ola", OlaOutcome),
            ground.clock,
            WindowSigner(identity, cluster, replica),
        )
        members = MembersReplica(mesh)
        self._peers = Peers(identity, members, ground.dial)
        verifier = WindowVerifier(cluster, replica, MemberKeys(identity, members, self._peers))
        self._servicer = OlaServicer(Access(ground.callers, ground.config.mesh.group), replica, changes, verifier)

    @property
    def services(self) -> Sequence[Service]:
        """See Room."""
        return [service(ola_pb2.DESCRIPTOR, "OlaService", ola_pb2_grpc, self._servicer, Door.BOTH)]

    def work(self) -> Sequence[Work]:
        """See Room."""
        return ()

    async def close(self) -> None:
        """See Room."""
        await self._peers.close()
