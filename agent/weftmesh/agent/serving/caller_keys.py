"""Whose call it is, as cheaply as can be told: limits ask it of every call before anything else is done with it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final, NamedTuple

import grpc

from weftmesh.agent.serving.accounts import user_name
from weftmesh.agent.serving.local_socket import LocalCaller, caller_from_peer
from weftmesh.runtime.identity.credentials import peer_node

PEERS_REMEMBERED: Final = 1_024
"""Local connections: what their signed address says never changes."""

Context = grpc.aio.ServicerContext[Any, Any]


class CallerKey(NamedTuple):
    """A caller to whom limits apply. A tuple: every write looks its bucket up, and tuples are compared without a call.

    Attributes:
        uid: of a local user; None for a node.
        node: a node by its certificate, member or not; empty for a local user.
    """

    uid: int | None = None
    node: str = ""

    def __str__(self) -> str:
        return f"node {self.node}" if self.uid is None else f"user {user_name(self.uid)}"


class CallerKeys:
    """Tells callers apart.

    Args:
        cluster: whose certificates count.
        nonce: of the relay before the private socket.
    """

    def __init__(self, cluster: str, nonce: bytes) -> None:
        self._cluster = cluster

        @lru_cache(maxsize=PEERS_REMEMBERED)
        def local(peer: str) -> LocalCaller | None:
            return caller_from_peer(peer, nonce)

        self._local = local

    def of(self, context: Context) -> CallerKey | None:
        """The caller; None for the node itself, which asks after its own health, and for whoever is not recognised."""
        peer = context.peer()
        if peer.startswith("unix"):
            caller = self._local(peer)
            return None if caller is None else CallerKey(uid=caller.uid)
        node = peer_node(context.auth_context(), self._cluster)
        return None if node is None else CallerKey(node=node)
