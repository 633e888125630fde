"""Which certificates the mesh no longer takes: asked before each call over the mesh port, and before one to a peer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import grpc
from cryptography import x509

from weftmesh.core.errors import InvalidInputError, UnauthenticatedError
from weftmesh.core.trust.machine import Trust
from weftmesh.core.trust.rows import Revocation
from weftmesh.runtime.identity.certificates import key_sha256, node_of, serial_text
from weftmesh.runtime.identity.chain import is_issued_by

Context = grpc.aio.ServicerContext[Any, Any]

CERTIFICATES_REMEMBERED: Final = 1_024
"""Parsed once each: a call brings its certificate as text."""
CERTIFICATE_REVOKED: Final = "CERTIFICATE_REVOKED"
_PEER_CERTIFICATE: Final = "x509_pem_cert"


@dataclass(frozen=True, slots=True)
class Shown:
    """What a certificate says that a revocation may be about; `node` is empty when it names none."""

    node: str
    serial: str
    key_sha256: str


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
            for pem in context.auth_context().get(_PEER_CERTIFICATE, ()):
                self.check_certificate(pem)

    def check_certificate(self, pem: bytes) -> None:
        """Refuse a certificate that is revoked, or was issued by an authority that is trusted no more.

        Raises:
            UnauthenticatedError: CERTIFICATE_REVOKED.
        """
        shown, read = shown_by(pem), self._trust().read
        # A connection outlives what its handshake went by.
        if read.was_rotated and not is_issued_by_any(pem, tuple(one.certificate for one in read.authorities())):
            raise UnauthenticatedError(
                f"certificate {shown.serial} of {shown.node or 'this caller'} is of an authority that this mesh trusts "
                "no more; connect with the one that was renewed, or join again",
                reason=CERTIFICATE_REVOKED,
            )
        revocation = read.revocation_of(shown.node, shown.serial, shown.key_sha256)
        if revocation is not None:
            raise UnauthenticatedError(told_of(shown, revocation), reason=CERTIFICATE_REVOKED)

    def may_dial(self, node: str) -> bool:
        """Whether a node may be called: not while everything it had is revoked and it was given nothing since."""
        return not self._trust().read.is_shut_out(node)


def told_of(shown: Shown, revocation: Revocation) -> str:
    """What a caller with a revoked certificate is told."""
    node = shown.node or "this node"
    return (
        f"certificate {shown.serial} of {node} is revoked ({revocation.why}); to let {node} in again make a token for "
        f"it on a member: weftmesh token create --for {node}, and there: weftmesh join --again LINE"
    )


@lru_cache(maxsize=CERTIFICATES_REMEMBERED)
def is_issued_by_any(pem: bytes, authorities_der: tuple[bytes, ...]) -> bool:
    """Whether one of these authorities issued a certificate."""
    certificate = x509.load_pem_x509_certificate(pem)
    return any(is_issued_by(certificate, x509.load_der_x509_certificate(one)) for one in authorities_der)


@lru_cache(maxsize=CERTIFICATES_REMEMBERED)
def shown_by(pem: bytes) -> Shown:
    """What a certificate says; TLS has verified it, so it is one."""
    certificate = x509.load_pem_x509_certificate(pem)
    try:
        node, _ = node_of(certificate)
    except InvalidInputError:
        node = ""
    return Shown(node, serial_text(certificate), key_sha256(certificate.public_key()))
