"""The feature level on one node, as a room."""

from __future__ import annotations

from collections.abc import Sequence

from weftmesh.agent.features.raising import Raising
from weftmesh.agent.features.service import UpgradeServicer
from weftmesh.agent.rooms import Ground, Work
from weftmesh.agent.serving.services import Door, Service, service
from weftmesh.agent.status import StatusReporter
from weftmesh.mesh.v1 import upgrade_pb2, upgrade_pb2_grpc


class FeaturesRoom:
    """Implements `rooms.Room`.

    Args:
        ground: see Ground.
        reporter: says how this node is doing.
    """

    def __init__(self, ground: Ground, reporter: StatusReporter) -> None:
        self._servicer = UpgradeServicer(ground, reporter)
        self._raising = Raising(ground.identity.node, ground.homes, ground.features, ground.clock)

    @property
    def services(self) -> Sequence[Service]:
        """See Room."""
        return [service(upgrade_pb2.DESCRIPTOR, "UpgradeService", upgrade_pb2_grpc, self._servicer, Door.LOCAL)]

    def work(self) -> Sequence[Work]:
        """See Room: the level is raised by itself."""
        return (self._raising.run(),)

    async def close(self) -> None:
        """See Room."""
