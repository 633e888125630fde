"""`weftmesh.mesh.v1.UpgradeService`, one typed method a call."""

from __future__ import annotations

from weftmesh.client.calls import Calls
from weftmesh.mesh.v1 import upgrade_pb2, upgrade_pb2_grpc


class UpgradeApi:
    """How far a mesh is with an upgrade."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._stub = upgrade_pb2_grpc.UpgradeServiceStub(calls.channel)

    async def get_state(self, *, timeout_s: float | None = None) -> upgrade_pb2.UpgradeState:
        """What every member runs and supports; the answering node asks them."""
        request = upgrade_pb2.GetUpgradeStateRequest()
        result: upgrade_pb2.UpgradeState = await self._calls.read(self._stub.GetUpgradeState, request, timeout_s)
        return result
