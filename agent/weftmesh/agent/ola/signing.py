"""Signs what this node recorded in a window (ECDSA on P-256, SHA-256)."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from weftmesh.agent.ola.replica import Replica
from weftmesh.core.errors import PreconditionError
from weftmesh.core.ola.replicated.outcomes import Reason
from weftmesh.core.ola.replicated.rows import ConfirmedAgreement
from weftmesh.core.ola.replicated.statement import window_statement
from weftmesh.ola.v1 import command_pb2
from weftmesh.runtime.identity.certificates import load_key
from weftmesh.runtime.identity.credentials import NodeIdentity


class WindowSigner:
    """Lends the key of this node's certificate to its own windows: the counts are those of its replica.

    Args:
        identity: of the node.
        cluster: the mesh.
        replica: has the counts.
    """

    def __init__(self, identity: NodeIdentity, cluster: str, replica: Replica) -> None:
        self._identity = identity
        self._cluster = cluster
        self._replica = replica

    def sign(self, confirm: command_pb2.Confirm) -> bytes:
        """The signature of a window of this node, in DER.

        Raises:
            PreconditionError: this node's replica does not have the window, or no longer with its counts.
        """
        window = next(
            (
                one
                for one in self._replica.agreements.read.windows()
                if (one.node, one.starts_s) == (confirm.node, confirm.starts_s)
            ),
            None,
        )
        if window is None:
            raise PreconditionError(
                f"the window from {confirm.starts_s} is not recorded here, or is over an hour old; record it first, "
                "and confirm it soon",
                reason=Reason.WINDOW_NOT_RECORDED.value,
            )
        agreements = [ConfirmedAgreement(one.name, one.generation, one.workflow) for one in confirm.agreements]
        statement = window_statement(self._cluster, window.node, window.starts_s, agreements, window.counts)
        key = load_key(self._identity.material.key_pem, what="node.key")
        return key.sign(statement, ec.ECDSA(SHA256()))
