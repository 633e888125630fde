"""Roles on one node: who gives and asks for them."""

from __future__ import annotations

from collections.abc import Sequence

from weftmesh.access.v1 import access_pb2, access_pb2_grpc
from weftmesh.agent.access.authorizing import Authorizer
from weftmesh.agent.access.service import AccessServicer
from weftmesh.agent.board.machine_log import MachineLog
from weftmesh.agent.rooms import Ground, Work
from weftmesh.agent.serving.services import Door, Service, service
from weftmesh.core.access.outcomes import AccessOutcome


class AccessRoom:
    """Implements `rooms.Room`; runs nothing by itself."""

    def __init__(self, ground: Ground, authorizer: Authorizer) -> None:
        self._servicer = AccessServicer(
            ground.identity.node,
            authorizer,
            ground.callers,
            MachineLog(ground.homes.mesh.engine, "access", AccessOutcome),
            ground.clock,
            ground.features,
        )

    @property
    def services(self) -> Sequence[Service]:
        """See Room."""
        return [service(access_pb2.DESCRIPTOR, "AccessService", access_pb2_grpc, self._servicer, Door.LOCAL)]

    def work(self) -> Sequence[Work]:
        """See Room."""
        return ()

    async def close(self) -> None:
        """See Room: nothing is left."""
