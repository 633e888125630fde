"""Which certificates the mesh no longer takes: asked before each call over the mesh port, and before one to a peer."""

from __future__ import annotations

from collections.abc import Callable

from weftmesh.core.errors import UnauthenticatedError
from weftmesh.core.trust.machine import Trust
from weftmesh.runtime.identity.shown import (
    CERTIFICATE_REVOKED,
    Context,
    certificates_of,
    is_issued_by_any,
    shown_by,
    told_of_authority,
    told_of_revocation,
)


class Gate:
    """Knows what is revoked, as this node's replica has it.

    Args:
        trust: the machine as it is now; a snapshot may replace it.
    """

    def __init__(self, trust: Callable[[], Trust]) -> None:
        self._trust = trust

    def check_call(self, context: Context) -> None:
        """Refuse a call whose caller shows a certificate that is no longer good.

        Raises:
            UnauthenticatedError: CERTIFICATE_REVOKED.
        """
        read = self._trust().read
        if read.any_revoked or read.was_rotated:
            for pem in certificates_of(context):
                self.check_certificate(pem)

    def check_certificate(self, pem: bytes) -> None:
        """Refuse a certificate that is revoked, or was issued by an authority that is trusted no more.

        Raises:
            UnauthenticatedError: CERTIFICATE_REVOKED.
        """
        shown, read = shown_by(pem), self._trust().read
        # A connection outlives what its handshake went by.
        if read.was_rotated and not is_issued_by_any(pem, tuple(one.certificate for one in read.authorities())):
            raise UnauthenticatedError(told_of_authority(shown), reason=CERTIFICATE_REVOKED)
        revocation = read.revocation_of(shown.node, shown.serial, shown.key_sha256)
        if revocation is not None:
            raise UnauthenticatedError(told_of_revocation(shown, revocation.why), reason=CERTIFICATE_REVOKED)

    def may_dial(self, node: str) -> bool:
        """Whether a node may be called: not while everything it had is revoked and it was given nothing since."""
        return not self._trust().read.is_shut_out(node)
