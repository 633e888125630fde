"""The MeshService: how this node is doing, who belongs to the mesh, and who may come in or goes out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import grpc
import structlog

from weftmesh.agent.enrolment.enrolment import TokenRegistry
from weftmesh.agent.features import Features
from weftmesh.agent.raft.core.proposals import CATCHING_UP_REASONS
from weftmesh.agent.raft.engine import MemberRole, RaftEngine, Role
from weftmesh.agent.serving.callers import Callers
from weftmesh.agent.serving.requests import Call, begin_call, call_of
from weftmesh.agent.status import StatusReporter, member_role
from weftmesh.core.errors import (
    ForbiddenError,
    InvalidInputError,
    NoQuorumError,
    NotFoundError,
    PreconditionError,
    UnknownOutcomeError,
)
from weftmesh.mesh.v1 import mesh_pb2, mesh_pb2_grpc

LEAVE_TRANSFER_S: Final = 5.0
REMOVE_ATTEMPT_S: Final = 3.0
REMOVE_PAUSE_S: Final = 0.1
ASK_S: Final = 2.0
"""For a member that is to go to say whether it has the authority."""
ANSWER_S: Final = 0.5
"""Left of a caller's time to answer that the node goes on joining."""
Context = grpc.aio.ServicerContext[Any, Any]

log = structlog.get_logger("weftmesh.mesh")


class MeshServicer(mesh_pb2_grpc.MeshServiceServicer):  # type: ignore[misc]  # generated, untyped
    """Serves weftmesh.mesh.v1.MeshService; mesh.proto documents each method."""

    def __init__(
        self,
        node: str,
        engine: RaftEngine,
        reporter: StatusReporter,
        callers: Callers,
        tokens: TokenRegistry,
        on_left: Callable[[], None],
        features: Features,
        has_authority: Callable[[str, str, float], Awaitable[bool]],
    ) -> None:
        self._node = node
        self._engine = engine
        self._reporter = reporter
        self._callers = callers
        self._tokens = tokens
        self._on_left = on_left
        self._features = features
        self._has_authority = has_authority

    async def GetStatus(self, request: mesh_pb2.GetStatusRequest, context: Context) -> mesh_pb2.NodeStatus:  # noqa: N802, ARG002
        """See mesh.proto."""
        self._callers.of(context)
        return self._reporter.node_status()

    async def ListMembers(  # noqa: N802
        self,
        request: mesh_pb2.ListMembersRequest,  # noqa: ARG002
        context: Context,
    ) -> mesh_pb2.ListMembersResponse:
        """See mesh.proto."""
        self._callers.of(context)
        return mesh_pb2.ListMembersResponse(members=self._reporter.members())

    async def CreateJoinToken(  # noqa: N802
        self, request: mesh_pb2.CreateJoinTokenRequest, context: Context
    ) -> mesh_pb2.JoinToken:
        """See mesh.proto."""
        caller = self._callers.local(context)
        token = await self._tokens.create(request)
        if not request.validate_only:
            log.info("join token created", join_id=token.token_id, by=caller.actor, for_node=request.node_name or "any")
        return token

    async def ListJoinTokens(  # noqa: N802
        self,
        request: mesh_pb2.ListJoinTokensRequest,  # noqa: ARG002
        context: Context,
    ) -> mesh_pb2.ListJoinTokensResponse:
        """See mesh.proto."""
        self._callers.local(context)
        return mesh_pb2.ListJoinTokensResponse(tokens=self._tokens.list())

    async def RevokeJoinToken(  # noqa: N802
        self, request: mesh_pb2.RevokeJoinTokenRequest, context: Context
    ) -> mesh_pb2.JoinToken:
        """See mesh.proto."""
        caller = self._callers.local(context)
        token = await self._tokens.revoke(request)
        if not request.validate_only:
            log.info("join token revoked", join_id=request.token_id, by=caller.actor)
        return token

    async def AddMember(self, request: mesh_pb2.AddMemberRequest, context: Context) -> mesh_pb2.Member:  # noqa: N802
        """See mesh.proto."""
        call = call_of(self._callers.of_anybody_enrolled(context), context)
        name = call.caller.node
        if not name:
            raise ForbiddenError("a node becomes a member by its own certificate; run `weftmesh join` on it")
        if not request.address.rpartition(":")[0]:
            raise InvalidInputError(f"address is {request.address!r}; it must be HOST:PORT as the others dial {name}")
        self._features.check_joiner(name, request.supported_feature_level)
        wanted = MemberRole.OBSERVER if request.observer else MemberRole.VOTER
        match member_role(self._engine.status(), name):
            case mesh_pb2.MEMBER_ROLE_UNSPECIFIED:
                self._tokens.check_admission(name)
            case mesh_pb2.MEMBER_ROLE_VOTER:
                wanted = MemberRole.VOTER
            case mesh_pb2.MEMBER_ROLE_OBSERVER:
                wanted = MemberRole.OBSERVER  # only a person promotes it
        await self._take_in(name, wanted, request.address, call.remaining_s - ANSWER_S)
        await self._tokens.admitted(name)
        role = member_role(self._engine.status(), name)
        log.info("member added", member=name, address=request.address, role=mesh_pb2.MemberRole.Name(role))
        return mesh_pb2.Member(name=name, address=request.address, role=role)

    async def _take_in(self, name: str, role: MemberRole, address: str, timeout_s: float) -> None:
        """Make a node a member; one that has not caught up in that time goes on joining, and asks again."""
        try:
            await self._engine.change_member(name, role, address, timeout_s)
        except PreconditionError as error:
            if error.reason not in CATCHING_UP_REASONS:
                raise

    async def PromoteMember(  # noqa: N802
        self, request: mesh_pb2.PromoteMemberRequest, context: Context
    ) -> mesh_pb2.Member:
        """See mesh.proto."""
        caller = self._callers.local(context)
        call = begin_call(self._callers, context)
        member = self._member(request.name)
        if not request.validate_only:
            await self._change(request.name, MemberRole.VOTER, call)
            log.info("member promoted", member=request.name, by=caller.actor)
        member.role = mesh_pb2.MEMBER_ROLE_VOTER
        return member

    async def DemoteMember(  # noqa: N802
        self, request: mesh_pb2.DemoteMemberRequest, context: Context
    ) -> mesh_pb2.Member:
        """See mesh.proto."""
        caller = self._callers.local(context)
        call = begin_call(self._callers, context)
        member = self._member(request.name)
        self._check_another_votes(request.name, f"{request.name} is the last voter; promote another member first")
        if not request.validate_only:
            await self._hand_over_if(request.name, call)
            await self._change(request.name, MemberRole.OBSERVER, call)
            log.info("member demoted", member=request.name, by=caller.actor)
        member.role = mesh_pb2.MEMBER_ROLE_OBSERVER
        return member

    async def RemoveMember(self, request: mesh_pb2.RemoveMemberRequest, context: Context) -> mesh_pb2.Member:  # noqa: N802
        """See mesh.proto."""
        caller = self._callers.local(context)
        call = begin_call(self._callers, context)
        member = self._member(request.name)
        if request.name == self._node:
            raise PreconditionError("this is the node you talk to; use `weftmesh leave`")
        self._check_another_votes(request.name, f"{request.name} is the last voter; promote another member first")
        # What is left of the time is for the log.
        if await self._has_authority(member.name, member.address, min(ASK_S, call.remaining_s / 2)):
            raise PreconditionError(
                f"{member.name} has the cluster's authority: without it nobody could join, and certificates would run "
                "out. Move identity/ca.key in its data directory to the same place on another member, with the same "
                f"owner and mode, and restart both; or take it out all the same: weftmesh cert revoke {member.name} "
                "--remove",
                reason="HAS_AUTHORITY",
            )
        if not request.validate_only:
            await self._change(request.name, None, call)
            log.info("member removed", member=request.name, by=caller.actor)
        return member

    async def Leave(self, request: mesh_pb2.LeaveRequest, context: Context) -> mesh_pb2.Member:  # noqa: N802
        """See mesh.proto."""
        caller = self._callers.local(context)
        call = begin_call(self._callers, context)
        member = self._member(self._node)
        self._check_another_votes(
            self._node,
            f"{self._node} is the last voter: with it the mesh and its tasks would be gone. To end the mesh, stop "
            "the daemon and keep or delete its data directory",
        )
        if self._tokens.has_authority:
            raise PreconditionError(
                f"{self._node} has the cluster's authority: without it nobody could join, and certificates would run "
                "out. Move identity/ca.key in its data directory to the same place on another member, with the same "
                "owner and mode, restart both, and leave then",
                reason="HAS_AUTHORITY",
            )
        if request.validate_only:
            return member
        await self._hand_over_if(self._node, call)
        await self._change(self._node, None, call)
        log.info("this node has left the mesh", by=caller.actor)
        self._on_left()
        return member

    def _check_another_votes(self, name: str, otherwise: str) -> None:
        if set(self._engine.status().voters) == {name}:
            raise PreconditionError(otherwise, reason="LAST_VOTER")

    async def _hand_over_if(self, name: str, call: Call) -> None:
        """Let another voter lead if this node is the one named, and leads."""
        if name == self._node and self._engine.status().role is Role.LEADER:
            await self._engine.transfer_leadership(min(LEAVE_TRANSFER_S, call.remaining_s))

    async def _change(self, name: str, role: MemberRole | None, call: Call) -> None:
        """Change a member. The answer may be lost with a leader that is itself the one to go, so ask again.

        Between a leader that handed over and the next one there is none for a while.

        A node that goes may never hear that it is out, so for itself the configuration that it knows counts as well.
        """
        while True:
            try:
                await self._engine.change_member(name, role, None, min(REMOVE_ATTEMPT_S, call.remaining_s))
            except (UnknownOutcomeError, NoQuorumError):
                if role is None and name == self._node and not member_role(self._engine.status(), name):
                    return
                if call.remaining_s <= REMOVE_PAUSE_S:
                    raise
                await asyncio.sleep(REMOVE_PAUSE_S)
            else:
                return

    def _member(self, name: str) -> mesh_pb2.Member:
        for member in self._reporter.members():
            if member.name == name:
                return member
        raise NotFoundError(f"{name} is no member; see `weftmesh members`")
