"""One node's identity in memory: its key, its certificate, and the authority it trusts."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from weftmesh.core.errors import DataCorruptionError, InvalidInputError
from weftmesh.runtime.identity.certificates import (
    fingerprint,
    load_certificate,
    load_key,
    make_signing_request,
    node_of,
    to_der,
    to_pem,
)


@dataclass(frozen=True, slots=True)
class IdentityMaterial:
    """What a node shows and what it trusts, all PEM; made by `assemble`, which checks that the parts fit."""

    node: str
    cluster: str
    authority_pem: bytes = field(repr=False)
    certificate_pem: bytes = field(repr=False)
    key_pem: bytes = field(repr=False)
    not_before: datetime
    not_after: datetime

    @classmethod
    def assemble(cls, *, authority_pem: bytes, certificate_pem: bytes, key_pem: bytes) -> Self:
        """Put an identity together.

        Raises:
            DataCorruptionError: a part is unreadable, or they do not belong to each other.
        """
        authority = load_certificate(authority_pem, what="ca.pem")
        certificate = load_certificate(certificate_pem, what="node.pem")
        if certificate.public_key() != load_key(key_pem, what="node.key").public_key():
            raise DataCorruptionError("node.key does not belong to node.pem; restore both, or join the mesh again")
        node, cluster = _check_issued(certificate, authority)
        return cls(
            node,
            cluster,
            authority_pem,
            certificate_pem,
            key_pem,
            certificate.not_valid_before_utc,
            certificate.not_valid_after_utc,
        )

    @property
    def authority_sha256(self) -> str:
        """The fingerprint of the authority's certificate, as a join line carries it."""
        return fingerprint(to_der(load_certificate(self.authority_pem, what="ca.pem")))

    def signing_request(self) -> bytes:
        """Ask for a new certificate under the same key, in DER.

        The key stays, because a key and a certificate are two files: replacing one of them is atomic, both is not.
        """
        return make_signing_request(load_key(self.key_pem, what="node.key"), self.node)

    def renewed(self, certificate_der: bytes) -> Self:
        """Return this identity with a newer certificate.

        Raises:
            InvalidInputError: the certificate is for another node or cluster.
            DataCorruptionError: it is not for this key, or not from this authority.
        """
        try:
            certificate_pem = to_pem(x509.load_der_x509_certificate(certificate_der))
        except ValueError as error:
            raise InvalidInputError("what came is no certificate", reason="CERTIFICATE_INVALID") from error
        new = self.assemble(authority_pem=self.authority_pem, certificate_pem=certificate_pem, key_pem=self.key_pem)
        if (new.node, new.cluster) != (self.node, self.cluster):
            raise InvalidInputError(
                f"the new certificate names {new.node!r} of {new.cluster!r}, this is {self.node!r} of {self.cluster!r}",
                reason="CERTIFICATE_INVALID",
            )
        return new


def _check_issued(certificate: x509.Certificate, authority: x509.Certificate) -> tuple[str, str]:
    """Return (node, cluster) after checking that `authority` signed `certificate`."""
    try:
        certificate.verify_directly_issued_by(authority)
        return node_of(certificate)
    except (ValueError, TypeError, InvalidSignature) as error:
        raise DataCorruptionError("node.pem was not issued by ca.pem; restore both, or join the mesh again") from error
    except InvalidInputError as error:
        raise DataCorruptionError("node.pem is not the certificate of a node; restore it, or join again") from error
