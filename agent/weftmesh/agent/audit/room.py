"""Audits on one node: what it acknowledged, whether every voter has it, and the nightly look."""

from __future__ import annotations

from collections.abc import Sequence

from weftmesh.agent.audit.acknowledged import AcknowledgedJournal
from weftmesh.agent.audit.auditing import Auditor, Voter
from weftmesh.agent.audit.history_check import HistoryCheck
from weftmesh.agent.audit.service import AuditServicer, RemoteVoter
from weftmesh.agent.rooms import Ground, Work
from weftmesh.agent.serving.services import Door, Service, service
from weftmesh.mesh.v1 import audit_pb2, audit_pb2_grpc


class AuditRoom:
    """Implements `rooms.Room`.

    Attributes:
        auditor: compares the voters.

    Raises:
        DataCorruptionError: what was acknowledged cannot be read.
    """

    def __init__(self, ground: Ground) -> None:
        mesh = ground.homes.mesh
        self._ground = ground
        self._journal = AcknowledgedJournal.open(ground.config.node.data_dir / "acknowledged")
        mesh.writer.on_acknowledged = self._journal.note
        self._check = HistoryCheck(mesh, self._journal)
        self.auditor = Auditor(mesh.engine, self._voter)

    @property
    def services(self) -> Sequence[Service]:
        """See Room."""
        servicer = AuditServicer(self._check, self.auditor, self._ground.callers)
        return [service(audit_pb2.DESCRIPTOR, "AuditService", audit_pb2_grpc, servicer, Door.BOTH)]

    def work(self) -> Sequence[Work]:
        """See Room."""
        return [self._journal.keep(), self.auditor.every_night()]

    async def close(self) -> None:
        """See Room."""
        await self._journal.close()

    def _voter(self, name: str, address: str) -> Voter:
        return self._check if name == self._ground.identity.node else RemoteVoter(self._ground.dial, name, address)
