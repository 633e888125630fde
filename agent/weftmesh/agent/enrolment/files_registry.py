"""Who may become a member where certificates are issued elsewhere: a node that a person on a member has named."""

from __future__ import annotations

import asyncio

from weftmesh.agent.enrolment.enrolment import TokenRegistry, shown
from weftmesh.core.errors import ForbiddenError, InvalidInputError
from weftmesh.mesh.v1 import mesh_pb2
from weftmesh.runtime.identity.join_line import SeedLine
from weftmesh.runtime.identity.tokens import DEFAULT_TTL, TokenStore


class FilesRegistry(TokenRegistry):
    """Tokens without a secret: the certificate proves the name, and the token says that the name is welcome, once.

    A certificate of the common authority alone lets nobody in: it may have been issued to a node of another mesh, or
    to one that was removed.

    Args:
        tokens: keeps them; on this node, which the joiner therefore has to ask.
        node: this one.
        address: host:port where others reach it.
    """

    def __init__(self, tokens: TokenStore, node: str, address: str) -> None:
        super().__init__(None, tokens, None)
        self._line = SeedLine(node, address)

    async def create(self, request: mesh_pb2.CreateJoinTokenRequest) -> mesh_pb2.JoinToken:
        """Say that a node is welcome.

        Raises:
            InvalidInputError: the node is not named, or the lifetime is out of bounds.
            OverloadedError: as many tokens live as may.
        """
        if not request.node_name:
            raise InvalidInputError(
                "name the node with --for: certificates come from files here, and the name is all that a token is about"
            )
        ttl = request.ttl.ToTimedelta() if request.HasField("ttl") else DEFAULT_TTL
        if request.validate_only:
            return shown(self._tokens.check_request(ttl, request.node_name))
        record, _ = await asyncio.to_thread(self._tokens.create, ttl, request.node_name)
        told = shown(record)
        told.join_command = str(self._line)
        return told

    def check_admission(self, node_name: str) -> None:
        """Check that somebody has said on this node that the caller is welcome.

        Raises:
            ForbiddenError: nobody has, or too long ago.
        """
        if not self._tokens.may_be_taken_in(node_name):
            raise ForbiddenError(
                f"nobody said here that {node_name} may join, or too long ago; run on this node: weftmesh token create "
                f"--for {node_name}",
                reason="NOT_ADMITTED",
            )

    async def admitted(self, node_name: str) -> None:
        """Remember that a node has become a member; once is all that a token is good for."""
        await asyncio.to_thread(self._tokens.take_in, node_name)
