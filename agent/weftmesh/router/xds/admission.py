"""Who may subscribe and report: nodes of the mesh by certificate, and whoever the local socket's mode lets in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import grpc

from weftmesh.core.errors import ForbiddenError, UnauthenticatedError
from weftmesh.runtime.identity.credentials import peer_node

LOCAL: Final = "local"
"""The subject of whoever reached the local socket. No node has this name over the mesh: see `Admission.subject`."""
Admits = Callable[[str], bool]
"""Whether the node of this name may subscribe, now."""
Context = grpc.aio.ServicerContext[object, object]


def every_node(_node: str) -> bool:
    """Admit every node that the cluster's authority gave a certificate."""
    return True


class Admission:
    """Decides by the certificate of the other end.

    Args:
        cluster: whose nodes are let in; None where nothing but the local socket is served.
        admits: asked for each new stream, and again for each change that a stream is told.
    """

    def __init__(self, cluster: str | None, admits: Admits = every_node) -> None:
        self._cluster = cluster
        self._admits = admits

    def subject(self, context: Context) -> str:
        """Name whoever is at the other end.

        Returns:
            `node/NAME`, or LOCAL.

        Raises:
            UnauthenticatedError: it is neither on the local socket nor a node of this cluster under TLS 1.3.
            ForbiddenError: the node may not subscribe.
        """
        if context.peer().startswith("unix:"):
            return LOCAL
        node = None if self._cluster is None else peer_node(context.auth_context(), self._cluster)
        if node is None:
            raise UnauthenticatedError("show the certificate of a node of this mesh, over TLS 1.3")
        if not self._admits(node):
            raise ForbiddenError(f"node {node} may not follow this router's tables; ask who runs the router")
        return f"node/{node}"
