"""Who may subscribe and report: nodes of the mesh by certificate, and whoever the local socket's mode lets in."""

from __future__ import annotations

from typing import Final

from weftmesh.core.errors import UnauthenticatedError
from weftmesh.runtime.doors.cutting import CertificateGate
from weftmesh.runtime.identity.credentials import peer_node
from weftmesh.runtime.identity.shown import Context

LOCAL: Final = "local"
"""The subject of whoever reached the local socket. No node has this name over the mesh: see `Admission.subject`."""


class EveryNode:
    """Takes every certificate that the cluster's authority issued; implements `cutting.CertificateGate`."""

    def check_call(self, context: Context) -> None:
        """See CertificateGate."""


class Admission:
    """Decides by the certificate of the other end.

    Args:
        cluster: whose nodes are let in; None where nothing but the local socket is served.
        gate: which of their certificates are good; asked when a stream begins, and whoever changes its mind has the
            streams under way cut.
    """

    def __init__(self, cluster: str | None, gate: CertificateGate) -> None:
        self._cluster = cluster
        self._gate = gate

    def subject(self, context: Context) -> str:
        """Name whoever is at the other end.

        Returns:
            `node/NAME`, or LOCAL.

        Raises:
            WeftmeshError: it is neither on the local socket nor a node of this cluster under TLS 1.3 whose certificate
                is good.
        """
        if context.peer().startswith("unix:"):
            return LOCAL
        node = None if self._cluster is None else peer_node(context.auth_context(), self._cluster)
        if node is None:
            raise UnauthenticatedError("show the certificate of a node of this mesh, over TLS 1.3")
        self._gate.check_call(context)
        return f"node/{node}"
