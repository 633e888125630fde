"""Join tokens as MeshService shows them; making one opens the enrolment port."""

from __future__ import annotations

import asyncio

from weftmesh.agent.enrolment.port import EnrollmentListener
from weftmesh.core.errors import ForbiddenError, PreconditionError, WeftmeshError
from weftmesh.mesh.v1 import mesh_pb2
from weftmesh.runtime.identity.join_line import JoinLine
from weftmesh.runtime.identity.signers import Signer
from weftmesh.runtime.identity.tokens import DEFAULT_TTL, TokenRecord, TokenState, TokenStore


class TokenRegistry:
    """Makes, lists and revokes join tokens; a node without the authority makes none.

    Args:
        authority: whose fingerprint join lines carry; None where it is not.
        tokens: keeps them.
        listener: is opened for them; None where the authority is not.
    """

    def __init__(self, authority: Signer | None, tokens: TokenStore, listener: EnrollmentListener | None) -> None:
        self._authority = authority
        self._tokens = tokens
        self._listener = listener

    async def create(self, request: mesh_pb2.CreateJoinTokenRequest) -> mesh_pb2.JoinToken:
        """Make a token and open the enrolment port; only this answer has the join line.

        Raises:
            PreconditionError: the authority is on another node, or the port cannot be opened.
            InvalidInputError: the lifetime or the name is out of bounds.
            OverloadedError: as many tokens live as may.
        """
        authority, listener = self._here()
        ttl = request.ttl.ToTimedelta() if request.HasField("ttl") else DEFAULT_TTL
        if request.validate_only:
            return shown(self._tokens.check_request(ttl, request.node_name))
        record, secret = await asyncio.to_thread(self._tokens.create, ttl, request.node_name)
        try:
            await listener.ensure()
        except WeftmeshError:
            await asyncio.to_thread(self._tokens.revoke, record.token_id)
            raise
        told = shown(record)
        told.join_command = str(JoinLine(listener.address, record.token_id, secret, authority.pin))
        return told

    def list(self) -> list[mesh_pb2.JoinToken]:
        """Every token that is remembered, without secrets, oldest first."""
        return [shown(record) for record in self._tokens.records()]

    async def revoke(self, request: mesh_pb2.RevokeJoinTokenRequest) -> mesh_pb2.JoinToken:
        """Make a token useless at once.

        Raises:
            NotFoundError: there is no such token here.
            PreconditionError: it was used already.
        """
        if request.validate_only:
            return shown(self._tokens.find(request.token_id))
        return shown(await asyncio.to_thread(self._tokens.revoke, request.token_id))

    @property
    def live(self) -> int:
        """How many tokens live here."""
        return sum(record.state is TokenState.LIVE for record in self._tokens.records())

    def check_admission(self, node_name: str) -> None:
        """Check that a node which asks to become a member has enrolled here, and was not one before.

        Its certificate alone is not enough: a removed node still has one.

        Raises:
            PreconditionError: the authority, which knows, is on another node.
            ForbiddenError: it has not, or it was removed since.
        """
        self._here()
        if not self._tokens.may_be_admitted(node_name):
            raise ForbiddenError(
                f"node {node_name} was removed from this mesh, or never enrolled with its authority; empty its data "
                "directory and join with a new token",
                reason="NOT_ADMITTED",
            )

    async def admitted(self, node_name: str) -> None:
        """Remember that a node has become a member; once is all that a token is good for."""
        await asyncio.to_thread(self._tokens.admit, node_name)

    @property
    def has_authority(self) -> bool:
        """Whether this node signs certificates."""
        return self._authority is not None

    def _here(self) -> tuple[Signer, EnrollmentListener]:
        if self._authority is None or self._listener is None:
            raise PreconditionError(
                "the cluster's authority is not on this node; ask the node where the mesh was founded",
                reason="NO_AUTHORITY",
            )
        return self._authority, self._listener


def shown(record: TokenRecord) -> mesh_pb2.JoinToken:
    """A token as MeshService shows it, without its secret."""
    told = mesh_pb2.JoinToken(
        token_id=record.token_id, node_name=record.node_name, state=record.state.value, used_by=record.used_by
    )
    told.expire_time.FromDatetime(record.expire_time)
    return told
