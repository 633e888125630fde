"""A member's certificate as another member checks it: whose it is, who issued it, and that it is in force."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from weftmesh.core.errors import DataCorruptionError, InvalidInputError
from weftmesh.runtime.identity.certificates import CURVE, PublicKey, load_certificates, node_of
from weftmesh.runtime.identity.chain import authority_of
from weftmesh.runtime.identity.material import IdentityMaterial

CHAIN_BYTES_MAX: Final = 16 * 1024
CERTIFICATE_INVALID: Final = "CERTIFICATE_INVALID"


@dataclass(frozen=True, slots=True)
class MemberKey:
    """The public key of a member, and how long its certificate vouches for it."""

    node: str
    public_key: PublicKey
    not_before: datetime
    not_after: datetime

    def in_force(self, now: datetime) -> bool:
        """Whether the certificate is valid now."""
        return self.not_before <= now <= self.not_after


def member_key(chain_pem: bytes, node: str, this_node: IdentityMaterial, now: datetime) -> MemberKey:
    """The key in the first certificate of a chain, if it is the certificate of `node`.

    Args:
        chain_pem: as the member shows it.
        node: who it has to be.
        this_node: knows the cluster and its authority.
        now: UTC.

    Raises:
        InvalidInputError: CERTIFICATE_INVALID: it is no certificate, another node's, another authority's, not in
            force, or its key is not on P-256.
    """
    if len(chain_pem) > CHAIN_BYTES_MAX:
        raise _invalid(node, f"exceeds {CHAIN_BYTES_MAX} bytes")
    try:
        chain = load_certificates(chain_pem, what=f"what {node} shows")
    except DataCorruptionError as error:
        raise _invalid(node, "is no certificate") from error
    try:
        authority_of(chain, load_certificates(this_node.authority_pem, what="ca.pem"))
    except InvalidInputError as error:
        raise _invalid(node, "was not issued by this cluster's authority") from error
    certificate = chain[0]
    if node_of(certificate) != (node, this_node.cluster):
        raise _invalid(node, "is the certificate of another node")
    key = certificate.public_key()
    if not isinstance(key, PublicKey) or not isinstance(key.curve, CURVE):
        raise _invalid(node, "has no ECDSA key on P-256")
    found = MemberKey(node, key, certificate.not_valid_before_utc, certificate.not_valid_after_utc)
    if not found.in_force(now):
        raise _invalid(node, f"is in force from {found.not_before} to {found.not_after}, not now")
    return found


def _invalid(node: str, what: str) -> InvalidInputError:
    return InvalidInputError(f"what {node} shows as its certificate {what}", reason=CERTIFICATE_INVALID)
