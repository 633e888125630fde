"""`weftmesh.mesh.v1.RecoveryService`."""

from __future__ import annotations

from typing import Any

from weftmesh.client.calls import Calls
from weftmesh.mesh.v1 import recovery_pb2, recovery_pb2_grpc


class RecoveryApi:
    """The way out when a majority is gone for good."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._recover: Any = recovery_pb2_grpc.RecoveryServiceStub(calls.channel).RecoverQuorum

    async def recover_quorum(
        self, request: recovery_pb2.RecoverQuorumRequest, *, timeout_s: float | None = None
    ) -> recovery_pb2.RecoveryReport:
        """Make the node the only voter, or with `validate_only` say how things stand; sent once.

        Raises:
            PreconditionError: a majority answers, or another node has more.
            InvalidInputError: the mesh has another name.
        """
        report: recovery_pb2.RecoveryReport = await self._calls.once(self._recover, request, timeout_s)
        return report
