"""From a node's certificate up to the authority that it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from weftmesh.core.errors import InvalidInputError
from weftmesh.runtime.identity.certificates import UNREADABLE

CHAIN_LENGTH_MAX: Final = 4
"""Certificates between a node's own and the authority, both included; each costs a signature to check."""


def authority_of(chain: Sequence[x509.Certificate], authorities: Sequence[x509.Certificate]) -> x509.Certificate:
    """The authority that a chain ends in.

    Args:
        chain: a node's certificate first, then those that it was issued by, in any order.
        authorities: those that are trusted.

    Raises:
        InvalidInputError: CERTIFICATE_INVALID: it ends in none of them.
    """
    present, between = chain[0], list(chain[1:CHAIN_LENGTH_MAX])
    while True:
        for authority in authorities:
            if is_issued_by(present, authority):
                return authority
        issuer = next((one for one in between if _is_authority(one) and is_issued_by(present, one)), None)
        if issuer is None:
            raise InvalidInputError(
                f"the certificate of {present.subject.rfc4514_string() or 'nobody'} was not issued by an authority "
                "that is trusted",
                reason="CERTIFICATE_INVALID",
            )
        between.remove(issuer)
        present = issuer


def is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether `issuer` names itself as the issuer of `certificate` and has signed it."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, *UNREADABLE):
        return False
    return True


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, *UNREADABLE):
        return False
