"""What left this node, on one node: the ledger, who may write and read it, and notes of where it stood."""

from __future__ import annotations

from collections.abc import Sequence

from weftmesh.agent.privacy.anchoring import note_anchors
from weftmesh.agent.privacy.ledger import EgressLedger
from weftmesh.agent.privacy.service import PrivacyServicer
from weftmesh.agent.rooms import Ground, Work
from weftmesh.agent.serving.services import Door, Service, service
from weftmesh.privacy.v1 import privacy_pb2, privacy_pb2_grpc


class PrivacyRoom:
    """Implements `rooms.Room`.

    Attributes:
        ledger: has to know first what leaves.

    Raises:
        OSError: the ledger's directory cannot be used.
    """

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self.ledger = EgressLedger.open(ground.config.node.data_dir / "egress", ground.disk())

    @property
    def services(self) -> Sequence[Service]:
        """See Room."""
        servicer = PrivacyServicer(self.ledger, self._ground.callers, self._ground.config.mesh.group)
        return [service(privacy_pb2.DESCRIPTOR, "PrivacyService", privacy_pb2_grpc, servicer, Door.LOCAL)]

    def work(self) -> Sequence[Work]:
        """See Room."""
        return [note_anchors(self.ledger)]

    async def close(self) -> None:
        """See Room."""
        await self.ledger.close()
