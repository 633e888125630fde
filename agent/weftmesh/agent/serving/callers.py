"""Who calls: a person on the local socket, or a node with its certificate on the mesh port."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import grpc

from weftmesh.agent.serving.accounts import ACCOUNTS
from weftmesh.agent.serving.local_socket import LocalCaller, caller_from_peer
from weftmesh.core.errors import ForbiddenError, UnauthenticatedError
from weftmesh.runtime.identity.credentials import peer_node

Context = grpc.aio.ServicerContext[Any, Any]
CONNECTIONS_REMEMBERED: Final = 1_024
"""Local ones whose caller is known, so that the relay's signature is not checked again at each call."""


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller."""

    actor: str
    """`user@node`, or `node:NAME`."""
    user: str
    """The local user's name; empty for a node."""
    node: str
    """The calling node's name; empty for a local user."""
    uid: int = -1
    """The local process, as the kernel knew it when it connected; -1 for a node."""
    gid: int = -1
    pid: int = -1


class Callers:
    """Tells callers apart by what the kernel and TLS say, never by what a request says."""

    def __init__(self, node: str, cluster: str, nonce: bytes, is_member: Callable[[str], bool]) -> None:
        self._node = node
        self._cluster = cluster
        self._nonce = nonce
        self._is_member = is_member
        self._local: dict[str, Caller] = {}

    def of(self, context: Context) -> Caller:
        """The caller behind a call.

        Raises:
            UnauthenticatedError: neither a local user nor a node of this mesh.
            ForbiddenError: a node that is no member, or no longer; its certificate may outlive its membership.
        """
        caller = self.of_anybody_enrolled(context)
        self.check_member(caller)
        return caller

    def check_member(self, caller: Caller) -> None:
        """Return if `caller` is a member now, or local: a stream may outlive its caller's membership.

        Raises:
            ForbiddenError: it is a node that is no member, or no longer.
        """
        if caller.node and not self._is_member(caller.node):
            raise ForbiddenError(
                f"node {caller.node} is not a member of this mesh, or no longer", reason="NOT_A_MEMBER"
            )

    def of_anybody_enrolled(self, context: Context) -> Caller:
        """The caller behind a call that a node makes before it is a member.

        Raises:
            UnauthenticatedError: neither a local user nor a node with a certificate of this mesh.
        """
        peer = context.peer()
        known = self._local.get(peer)
        if known is not None:
            return known
        local = caller_from_peer(peer, self._nonce)
        if local is not None:
            return self._remembered(peer, local)
        node = peer_node(context.auth_context(), self._cluster)
        if node is None:
            raise UnauthenticatedError("the caller is neither a local user nor a node of this mesh")
        return Caller(actor=f"node:{node}", user="", node=node)

    def _remembered(self, peer: str, process: LocalCaller) -> Caller:
        """The caller behind a local connection, whose name no other connection has."""
        if len(self._local) >= CONNECTIONS_REMEMBERED:
            self._local.clear()
        user = ACCOUNTS.of(process.uid, process.gid).name
        caller = Caller(f"{user}@{self._node}", user, "", process.uid, process.gid, process.pid)
        self._local[peer] = caller
        return caller

    def unnamed(self, context: Context) -> Caller:
        """The local caller behind a call, by number, where the system does not say his name.

        Raises:
            ForbiddenError: the call came over the mesh port.
        """
        process = self.process(context)
        return Caller(f"{process.uid}@{self._node}", str(process.uid), "", process.uid, process.gid, process.pid)

    def process(self, context: Context) -> LocalCaller:
        """The process of this machine behind a call.

        Raises:
            ForbiddenError: the call came over the mesh port.
        """
        process = caller_from_peer(context.peer(), self._nonce)
        if process is None:
            raise ForbiddenError("only processes of this machine may do this; use the local socket of the node")
        return process

    def local(self, context: Context) -> Caller:
        """The local caller behind a call that changes who belongs to the mesh.

        Raises:
            ForbiddenError: the call came over the mesh port.
        """
        caller = self.of(context)
        if not caller.user:
            raise ForbiddenError(f"{caller.actor} may not do this over the mesh port; use the local socket of a node")
        return caller
