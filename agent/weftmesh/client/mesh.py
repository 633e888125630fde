"""`weftmesh.mesh.v1.MeshService`, one typed method a call."""

from __future__ import annotations

from weftmesh.client.calls import Calls
from weftmesh.mesh.v1 import mesh_pb2, mesh_pb2_grpc


class MeshApi:
    """The mesh's calls. Reads are tried again until the timeout; changes carry no request id and are sent once."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._stub = mesh_pb2_grpc.MeshServiceStub(calls.channel)

    async def get_status(
        self, request: mesh_pb2.GetStatusRequest | None = None, *, timeout_s: float | None = None
    ) -> mesh_pb2.NodeStatus:
        """How the node is doing."""
        result: mesh_pb2.NodeStatus = await self._calls.read(
            self._stub.GetStatus, request or mesh_pb2.GetStatusRequest(), timeout_s
        )
        return result

    async def list_members(
        self, request: mesh_pb2.ListMembersRequest | None = None, *, timeout_s: float | None = None
    ) -> mesh_pb2.ListMembersResponse:
        """Every member."""
        result: mesh_pb2.ListMembersResponse = await self._calls.read(
            self._stub.ListMembers, request or mesh_pb2.ListMembersRequest(), timeout_s
        )
        return result

    async def create_join_token(
        self, request: mesh_pb2.CreateJoinTokenRequest, *, timeout_s: float | None = None
    ) -> mesh_pb2.JoinToken:
        """Make a join token."""
        result: mesh_pb2.JoinToken = await self._calls.once(self._stub.CreateJoinToken, request, timeout_s)
        return result

    async def list_join_tokens(
        self, request: mesh_pb2.ListJoinTokensRequest | None = None, *, timeout_s: float | None = None
    ) -> mesh_pb2.ListJoinTokensResponse:
        """Live join tokens, without their secrets."""
        result: mesh_pb2.ListJoinTokensResponse = await self._calls.read(
            self._stub.ListJoinTokens, request or mesh_pb2.ListJoinTokensRequest(), timeout_s
        )
        return result

    async def revoke_join_token(
        self, request: mesh_pb2.RevokeJoinTokenRequest, *, timeout_s: float | None = None
    ) -> mesh_pb2.JoinToken:
        """Make a token useless at once."""
        result: mesh_pb2.JoinToken = await self._calls.once(self._stub.RevokeJoinToken, request, timeout_s)
        return result

    async def add_member(
        self, request: mesh_pb2.AddMemberRequest, *, timeout_s: float | None = None
    ) -> mesh_pb2.Member:
        """Make the calling node a member."""
        result: mesh_pb2.Member = await self._calls.once(self._stub.AddMember, request, timeout_s)
        return result

    async def remove_member(
        self, request: mesh_pb2.RemoveMemberRequest, *, timeout_s: float | None = None
    ) -> mesh_pb2.Member:
        """Take a node out of the mesh."""
        result: mesh_pb2.Member = await self._calls.once(self._stub.RemoveMember, request, timeout_s)
        return result

    async def promote_member(
        self, request: mesh_pb2.PromoteMemberRequest, *, timeout_s: float | None = None
    ) -> mesh_pb2.Member:
        """Make an observer a voter."""
        result: mesh_pb2.Member = await self._calls.once(self._stub.PromoteMember, request, timeout_s)
        return result

    async def demote_member(
        self, request: mesh_pb2.DemoteMemberRequest, *, timeout_s: float | None = None
    ) -> mesh_pb2.Member:
        """Make a voter an observer."""
        result: mesh_pb2.Member = await self._calls.once(self._stub.DemoteMember, request, timeout_s)
        return result

    async def leave(self, request: mesh_pb2.LeaveRequest, *, timeout_s: float | None = None) -> mesh_pb2.Member:
        """Take the answering node out of the mesh."""
        result: mesh_pb2.Member = await self._calls.once(self._stub.Leave, request, timeout_s)
        return result
