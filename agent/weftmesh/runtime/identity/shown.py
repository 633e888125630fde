"""What the certificate that a call came with says, parsed once for each certificate."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

import grpc
from cryptography import x509

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.records import record
from weftmesh.runtime.identity.certificates import certificate_in, key_sha256, node_of, serial_text
from weftmesh.runtime.identity.chain import is_issued_by

CERTIFICATES_REMEMBERED: Final = 1_024
"""Parsed once each: a call brings its certificate as text."""
CERTIFICATE_REVOKED: Final = "CERTIFICATE_REVOKED"
_PEER_CERTIFICATE: Final = "x509_pem_cert"

Context = grpc.aio.ServicerContext[Any, Any]


@record(frozen=True, slots=True)
class Shown:
    """What a certificate says that a revocation may be about, and from when it holds; `node` is empty without one."""

    node: str
    serial: str
    key_sha256: str
    not_before: datetime


def certificates_of(context: Context) -> Iterator[bytes]:
    """What the caller showed in its handshake, in PEM; nothing on a local socket."""
    yield from context.auth_context().get(_PEER_CERTIFICATE, ())


def certificate_of(context: Context) -> bytes:
    """The caller's own, in PEM; empty on a local socket."""
    return next(certificates_of(context), b"")


@lru_cache(maxsize=CERTIFICATES_REMEMBERED)
def shown_by(pem: bytes) -> Shown:
    """What a certificate says; TLS has verified it, so it is one."""
    certificate = x509.load_pem_x509_certificate(pem)
    try:
        node, _ = node_of(certificate)
    except InvalidInputError:
        node = ""
    key = key_sha256(certificate.public_key())
    return Shown(node, serial_text(certificate), key, certificate.not_valid_before_utc)


@lru_cache(maxsize=CERTIFICATES_REMEMBERED)
def is_issued_by_any(pem: bytes, authorities_der: tuple[bytes, ...]) -> bool:
    """Whether one of these authorities issued a certificate; what is no certificate issued none."""
    certificate = x509.load_pem_x509_certificate(pem)
    return any(is_issued_by(certificate, one) for one in map(certificate_in, authorities_der) if one is not None)


def told_of_revocation(shown: Shown, why: str) -> str:
    """What a caller with a revoked certificate is told."""
    node = shown.node or "this node"
    return (
        f"certificate {shown.serial} of {node} is revoked ({why}); to let {node} in again make a token for "
        f"it on a member: weftmesh token create --for {node}, and there: weftmesh join --again LINE"
    )


def told_of_authority(shown: Shown) -> str:
    """What a caller is told whose certificate is of an authority that was replaced."""
    return (
        f"certificate {shown.serial} of {shown.node or 'this caller'} is of an authority that this mesh trusts "
        "no more; connect with the one that was renewed, or join again"
    )
