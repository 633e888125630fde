"""The cluster's certificate authority: made with the first node, and never sent anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID

from weftmesh.core.errors import DataCorruptionError
from weftmesh.runtime.identity.certificates import (
    ENROLLMENT_DNS_NAME,
    PrivateKey,
    PublicKey,
    common_name,
    fingerprint,
    key_to_pem,
    load_certificates,
    load_key,
    make_key,
    node_dns_name,
    node_uri,
    requested_key,
    to_der,
    to_pem,
)
from weftmesh.runtime.names import check_name

AUTHORITY_LIFETIME: Final = timedelta(days=3650)
CERTIFICATE_LIFETIME: Final = timedelta(days=7)
# Nodes whose clocks are behind by less than this take a fresh certificate at once: a clock in the wrong time zone must
# not cut a node off from peers that joined or renewed today.
CLOCK_SKEW: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A private key and its certificate chain, both PEM."""

    key_pem: bytes
    chain_pem: bytes


class Authority:
    """Signs the certificates of one cluster."""

    def __init__(self, certificate: x509.Certificate, key: PrivateKey) -> None:
        if certificate.public_key() != key.public_key():
            raise DataCorruptionError("ca.key does not belong to ca.pem; restore both from the same backup")
        self._certificate = certificate
        self._key = key

    @classmethod
    def create(cls, cluster: str, *, now: datetime) -> Self:
        """Make a new cluster's authority."""
        check_name(cluster, what="the cluster")
        key = make_key()
        name = common_name(cluster)
        usage = _key_usage(sign_certificates=True)
        builder = _builder(key.public_key(), name, name, now, AUTHORITY_LIFETIME, usage)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        return cls(builder.sign(key, hashes.SHA256()), key)

    @classmethod
    def load(cls, certificate_pem: bytes, key_pem: bytes) -> Self:
        """Read an authority back: of several certificates the one that is the key's.

        Raises:
            DataCorruptionError: none is.
        """
        key = load_key(key_pem, what="ca.key")
        certificates = load_certificates(certificate_pem, what="ca.pem")
        own = next((one for one in certificates if one.public_key() == key.public_key()), certificates[0])
        return cls(own, key)

    @property
    def cluster(self) -> str:
        """The cluster's name."""
        return str(self._certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value)

    @property
    def certificate_pem(self) -> bytes:
        """What every member trusts."""
        return to_pem(self._certificate)

    @property
    def certificate_der(self) -> bytes:
        """The same, as messages carry it."""
        return to_der(self._certificate)

    @property
    def key_pem(self) -> bytes:
        """The key, for the store alone."""
        return key_to_pem(self._key)

    @property
    def pin(self) -> str:
        """The fingerprint a join line carries."""
        return fingerprint(self.certificate_der)

    def issue(
        self, signing_request_der: bytes, node: str, *, now: datetime, lifetime: timedelta = CERTIFICATE_LIFETIME
    ) -> x509.Certificate:
        """Sign a node's key under a name that the caller has verified; what the request says of itself is ignored.

        Raises:
            InvalidInputError: the request or the name is not acceptable.
        """
        check_name(node, what="the node")
        names = [
            x509.DNSName(node_dns_name(node, self.cluster)),
            x509.UniformResourceIdentifier(node_uri(node, self.cluster)),
        ]
        uses = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        return self._sign(requested_key(signing_request_der), node, names, uses, now=now, lifetime=lifetime)

    def issue_enrollment(self, *, now: datetime) -> KeyPair:
        """Make a key pair for the enrolment port; its chain includes the authority, for joiners to compare."""
        key = make_key()
        certificate = self._sign(
            key.public_key(),
            ENROLLMENT_DNS_NAME,
            [x509.DNSName(ENROLLMENT_DNS_NAME)],
            [ExtendedKeyUsageOID.SERVER_AUTH],
            now=now,
            lifetime=CERTIFICATE_LIFETIME,
        )
        return KeyPair(key_to_pem(key), to_pem(certificate) + self.certificate_pem)

    def _sign(
        self,
        key: PublicKey,
        name: str,
        names: Sequence[x509.GeneralName],
        uses: Sequence[x509.ObjectIdentifier],
        *,
        now: datetime,
        lifetime: timedelta,
    ) -> x509.Certificate:
        usage = _key_usage(sign_certificates=False)
        builder = _builder(key, common_name(name), self._certificate.subject, now, lifetime, usage)
        return (
            builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )


def _builder(
    key: PublicKey, subject: x509.Name, issuer: x509.Name, now: datetime, lifetime: timedelta, usage: x509.KeyUsage
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + lifetime)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _key_usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
