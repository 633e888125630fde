"""The rows of the machine of trust, and their limits."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from weftmesh.core.records import record

DAY_MS: Final = 86_400_000
STAMP_COUNTER_BITS: Final = 16
"""Of a hybrid logical clock; milliseconds since 1970 stand above them."""


class Limits:
    """What the machine holds at most."""

    REVOCATIONS: Final = 4_096
    CERTIFICATES: Final = 1_024
    ALLOWED_KEYS: Final = 16
    AUTHORITY_BYTES: Final = 8_192
    TRUSTED: Final = 16
    WHY_CHARACTERS: Final = 500
    CERTIFICATE_KEPT_MS: Final = 30 * DAY_MS
    """After its end, for people who look for a node that is away."""


class AuthorityState(IntEnum):
    """Where an authority stands. Numbers are written to disk."""

    COMING = 1
    """To be trusted already, and not issuing yet."""
    ISSUING = 2
    RETIRING = 3
    """Still trusted, and issuing no more."""


class Phase(IntEnum):
    """Where the rotation of the authority stands; follows from the authorities."""

    NONE = 0
    BEGUN = 1
    """All nodes come to trust the coming authority."""
    ISSUED = 2
    """All nodes come to have a certificate of the new one."""


@record(frozen=True, slots=True)
class TrustedAuthority:
    """An authority whose certificates are accepted."""

    sha256: str
    """Of the certificate, 64 hexadecimal digits: what join lines carry."""
    certificate: bytes
    """DER."""
    state: AuthorityState
    actor: str
    stamp: int


@record(frozen=True, slots=True)
class NodeCertificate:
    """What a node says of the certificate it shows, and of whom it trusts."""

    node: str
    serial: str
    """Hexadecimal, without leading zeros."""
    key_sha256: str
    """Of its public key (SubjectPublicKeyInfo in DER), 64 hexadecimal digits."""
    authority: str
    """The sha256 of the authority that its chain ends in."""
    trusted: tuple[str, ...]
    """The sha256 of each authority whose certificates it accepts."""
    not_before_ms: int
    not_after_ms: int
    stamp: int


@record(frozen=True, slots=True)
class Revocation:
    """One certificate that is no longer good, or all that a node had."""

    node: str
    """Empty when only the serial is known."""
    serial: str
    """Empty for every certificate of the node, but for those of the allowed keys."""
    why: str
    actor: str
    stamp: int
    expires_ms: int
    """Milliseconds since 1970; by then whatever it is about has expired by itself."""
    allowed_keys: tuple[str, ...] = ()
    """Keys that the node was given after the revocation, by their sha256."""


Row = TrustedAuthority | NodeCertificate | Revocation
