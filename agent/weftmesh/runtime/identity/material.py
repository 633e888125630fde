"""One node's identity in memory: its key, its certificate, and the authorities it trusts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Self

from cryptography import x509

from weftmesh.core.errors import DataCorruptionError, InvalidInputError
from weftmesh.runtime.identity.certificates import (
    fingerprint,
    key_sha256,
    load_certificate,
    load_certificates,
    load_key,
    make_signing_request,
    node_of,
    serial_text,
    to_der,
    to_pem,
)
from weftmesh.runtime.identity.chain import authority_of


@dataclass(frozen=True, slots=True)
class IdentityMaterial:
    """What a node shows and what it trusts, all PEM; made by `assemble`, which checks that the parts fit."""

    node: str
    cluster: str
    authority_pem: bytes = field(repr=False)
    """Every authority whose certificates are accepted, one after the other."""
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
        authorities = load_certificates(authority_pem, what="ca.pem")
        chain = load_certificates(certificate_pem, what="node.pem")
        certificate = chain[0]
        if certificate.public_key() != load_key(key_pem, what="node.key").public_key():
            raise DataCorruptionError(
                "node.key does not belong to node.pem; restore both, or join the mesh again with --again and a "
                "token that was made for this node"
            )
        node, cluster = _check_issued(chain, authorities)
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
        """The fingerprint of the authority that this node's own certificate comes from, as a join line carries it."""
        authorities = load_certificates(self.authority_pem, what="ca.pem")
        return fingerprint(to_der(authority_of(load_certificates(self.certificate_pem, what="node.pem"), authorities)))

    @property
    def trusted(self) -> dict[str, bytes]:
        """Each authority that this node trusts: its fingerprint, and its certificate in DER."""
        found = [to_der(one) for one in load_certificates(self.authority_pem, what="ca.pem")]
        return {fingerprint(one): one for one in found}

    @property
    def serial(self) -> str:
        """The serial number of this node's certificate, hexadecimal."""
        return serial_text(load_certificate(self.certificate_pem, what="node.pem"))

    @property
    def key_sha256(self) -> str:
        """The fingerprint of this node's public key."""
        return key_sha256(load_certificate(self.certificate_pem, what="node.pem").public_key())

    def trusting(self, authorities_der: Iterable[bytes]) -> Self:
        """Return this identity with exactly these authorities to trust.

        Raises:
            DataCorruptionError: its own certificate is of none of them.
        """
        bundle = b"".join(to_pem(x509.load_der_x509_certificate(one)) for one in authorities_der)
        _check_issued(
            load_certificates(self.certificate_pem, what="node.pem"), load_certificates(bundle, what="the authorities")
        )
        return replace(self, authority_pem=bundle)

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


def _check_issued(chain: Sequence[x509.Certificate], authorities: Sequence[x509.Certificate]) -> tuple[str, str]:
    """Return (node, cluster) of a chain's first certificate after checking that it ends in one of `authorities`."""
    try:
        authority_of(chain, authorities)
    except InvalidInputError as error:
        raise DataCorruptionError("node.pem was not issued by ca.pem; restore both, or join the mesh again") from error
    try:
        return node_of(chain[0])
    except InvalidInputError as error:
        raise DataCorruptionError("node.pem is not the certificate of a node; restore it, or join again") from error
