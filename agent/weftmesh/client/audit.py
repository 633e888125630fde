"""`weftmesh.mesh.v1.AuditService`, as far as it is served on the local socket alone."""

from __future__ import annotations

from typing import Any

from weftmesh.client.calls import Calls
from weftmesh.mesh.v1 import audit_pb2, audit_pb2_grpc


class AuditApi:
    """Audits of the mesh."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._run: Any = audit_pb2_grpc.AuditServiceStub(calls.channel).RunAudit

    async def run_audit(self, *, timeout_s: float | None = None) -> audit_pb2.AuditReport:
        """Ask every voter whether it has every write that any of them acknowledged; takes seconds on a large board.

        Raises:
            OverloadedError: an audit is under way.
            NoQuorumError: no majority answers.
        """
        report: audit_pb2.AuditReport = await self._calls.once(self._run, audit_pb2.RunAuditRequest(), timeout_s)
        return report
