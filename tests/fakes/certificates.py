"""A cluster CA and node certificates as the mesh issues them, and ones with each thing that can be wrong about them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import grpc
import grpc.aio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

CLUSTER = "test"
DAY = dt.timedelta(days=1)
ChannelOptions = tuple[tuple[str, str | int], ...]


@dataclass(frozen=True, slots=True)
class NodeCertificate:
    """PEM of a node's key, its certificate, and the CA that it trusts."""

    name: str
    ca_pem: bytes
    certificate_pem: bytes
    key_pem: bytes

    def server_credentials(self) -> grpc.ServerCredentials:
        """Credentials that demand a certificate of the same CA."""
        return grpc.ssl_server_credentials(
            [(self.key_pem, self.certificate_pem)], root_certificates=self.ca_pem, require_client_auth=True
        )

    def dial(self, name: str, address: str, options: ChannelOptions = (), cluster: str = CLUSTER) -> grpc.aio.Channel:
        """A channel that accepts only the node `name` at `address`."""
        override = ("grpc.ssl_target_name_override", f"{name}.{cluster}.weftmesh")
        credentials = grpc.ssl_channel_credentials(self.ca_pem, self.key_pem, self.certificate_pem)
        return grpc.aio.secure_channel(address, credentials, options=(*options, override))


class CertificateAuthority:
    """Issues certificates of one cluster; another instance is a foreign CA."""

    def __init__(self, cluster: str = CLUSTER) -> None:
        self.cluster = cluster
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{cluster} CA")])
        now = dt.datetime.now(dt.UTC)
        self._certificate = (
            _builder(self._subject, self._key.public_key(), now - DAY, now + 365 * DAY)
            .issuer_name(self._subject)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    @property
    def pem(self) -> bytes:
        """The CA's certificate."""
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    def node(
        self,
        name: str,
        *,
        uris: tuple[str, ...] | None = None,
        cluster: str | None = None,
        valid_from: dt.timedelta = -DAY,
        valid_until: dt.timedelta = 7 * DAY,
    ) -> NodeCertificate:
        """A certificate for node `name`.

        Args:
            name: the node's name: subject, DNS name and URI.
            uris: other URIs than spiffe://CLUSTER/node/NAME.
            cluster: another cluster than the CA's.
            valid_from: from now; positive for a certificate that is not valid yet.
            valid_until: from now; negative for one that has expired.
        """
        cluster = cluster or self.cluster
        key = ec.generate_private_key(ec.SECP256R1())
        names: list[x509.GeneralName] = [x509.DNSName(f"{name}.{cluster}.weftmesh")]
        names += [x509.UniformResourceIdentifier(uri) for uri in uris or (f"spiffe://{cluster}/node/{name}",)]
        now = dt.datetime.now(dt.UTC)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = (
            _builder(subject, key.public_key(), now + valid_from, now + valid_until)
            .issuer_name(self._subject)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return NodeCertificate(name, self.pem, certificate.public_bytes(serialization.Encoding.PEM), _key_pem(key))


def _builder(
    subject: x509.Name, key: ec.EllipticCurvePublicKey, valid_from: dt.datetime, valid_until: dt.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(valid_from)
        .not_valid_after(valid_until)
    )


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
