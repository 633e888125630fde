"""Keys, signing requests and certificates: the forms all nodes agree on.

A node's certificate has subject CN = NAME and the alternative names DNS `NAME.CLUSTER.weftmesh` (what gRPC checks when
a node is dialled) and URI `spiffe://CLUSTER/node/NAME` (what the dialled node reads).
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import NameOID

from weftmesh.core.errors import DataCorruptionError, InvalidInputError
from weftmesh.runtime.names import NAME_PATTERN

CURVE: Final = ec.SECP256R1
SIGNING_REQUEST_BYTES_MAX: Final = 8192
# Three labels name a node, two the enrolment port: no node's certificate can pass for it.
ENROLLMENT_DNS_NAME: Final = "enrollment.weftmesh"
UNREADABLE: Final = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
"""What the library raises for keys and certificates that are damaged or unusual, some of it when a part is read."""

_NODE_URI: Final = re.compile(f"spiffe://(?P<cluster>{NAME_PATTERN.pattern})/node/(?P<node>{NAME_PATTERN.pattern})")

PrivateKey = ec.EllipticCurvePrivateKey
PublicKey = ec.EllipticCurvePublicKey


def node_dns_name(node: str, cluster: str) -> str:
    """The name to expect of a node when dialling it."""
    return f"{node}.{cluster}.weftmesh"


def node_uri(node: str, cluster: str) -> str:
    """A node's SPIFFE id (spiffe.io, SPIFFE-ID section 2)."""
    return f"spiffe://{cluster}/node/{node}"


def split_node_uri(uri: str) -> tuple[str, str] | None:
    """Return (node, cluster) of a SPIFFE id that `node_uri` made, else None."""
    match = _NODE_URI.fullmatch(uri)
    return (match["node"], match["cluster"]) if match else None


def common_name(name: str) -> x509.Name:
    """A subject with nothing but a common name."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def make_key() -> PrivateKey:
    """Make a P-256 key; it is to stay on the node that made it."""
    return ec.generate_private_key(CURVE())


def make_signing_request(key: PrivateKey, node: str) -> bytes:
    """Make a PKCS #10 request, in DER; the authority takes the key from it and nothing else."""
    request = x509.CertificateSigningRequestBuilder().subject_name(common_name(node)).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.DER)


def requested_key(signing_request_der: bytes) -> PublicKey:
    """Return the key of a signing request whose sender has proven to hold it.

    Raises:
        InvalidInputError: it is no signing request, its signature is wrong, or its key is not on P-256.
    """
    reason = "SIGNING_REQUEST_INVALID"
    if len(signing_request_der) > SIGNING_REQUEST_BYTES_MAX:
        raise InvalidInputError(f"the signing request exceeds {SIGNING_REQUEST_BYTES_MAX} bytes", reason=reason)
    try:
        request = x509.load_der_x509_csr(signing_request_der)
        valid = request.is_signature_valid
        key = request.public_key()
    except (ValueError, InvalidSignature, x509.InvalidVersion) as error:
        raise InvalidInputError("the signing request is not PKCS #10 in DER", reason=reason) from error
    if not valid:
        raise InvalidInputError("the signing request is not signed by its own key", reason=reason)
    if not isinstance(key, PublicKey) or not isinstance(key.curve, CURVE):
        raise InvalidInputError("the signing request's key must be ECDSA on P-256", reason=reason)
    return key


def fingerprint(certificate_der: bytes) -> str:
    """SHA-256 of a certificate, as 64 hex digits; `openssl x509 -fingerprint -sha256` prints the same with colons."""
    return hashlib.sha256(certificate_der).hexdigest()


def to_pem(certificate: x509.Certificate) -> bytes:
    """Write a certificate as people and gRPC read it."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def to_der(certificate: x509.Certificate) -> bytes:
    """Write a certificate as messages carry it and fingerprints are taken."""
    return certificate.public_bytes(serialization.Encoding.DER)


def key_to_pem(key: PrivateKey) -> bytes:
    """Write a key in clear PKCS #8: the file's mode protects it."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def load_certificate(pem: bytes, *, what: str) -> x509.Certificate:
    """Read one certificate; DataCorruptionError naming `what` when it is none."""
    try:
        return x509.load_pem_x509_certificate(pem)
    except UNREADABLE as error:
        raise DataCorruptionError(f"{what} holds no certificate; restore it from a backup or join again") from error


def load_certificates(pem: bytes, *, what: str) -> list[x509.Certificate]:
    """Read one certificate or more, in their order; DataCorruptionError naming `what` when there is none."""
    try:
        return x509.load_pem_x509_certificates(pem)
    except UNREADABLE as error:
        raise DataCorruptionError(f"{what} holds no certificate; restore it from a backup or join again") from error


def certificate_in(der: bytes) -> x509.Certificate | None:
    """The certificate that another node wrote; None for bytes that are none, or none with a key that is known here."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        certificate.public_key()
    except UNREADABLE:
        return None
    return certificate


def serial_text(certificate: x509.Certificate) -> str:
    """A serial number as weftmesh writes it: hexadecimal, as `openssl x509 -serial` does but in lower case."""
    return f"{certificate.serial_number:x}"


def key_sha256(key: CertificatePublicKeyTypes) -> str:
    """SHA-256 of a public key (SubjectPublicKeyInfo in DER), as 64 hex digits."""
    info = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(info).hexdigest()


def load_key(pem: bytes, *, what: str) -> PrivateKey:
    """Read a P-256 key; DataCorruptionError naming `what` when it is none."""
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except UNREADABLE as error:
        raise DataCorruptionError(f"{what} holds no private key; restore it from a backup or join again") from error
    if not isinstance(key, PrivateKey) or not isinstance(key.curve, CURVE):
        raise DataCorruptionError(f"{what} holds a key of another kind; it must be ECDSA on P-256")
    return key


def node_of(certificate: x509.Certificate) -> tuple[str, str]:
    """Return (node, cluster) of a node's certificate.

    Raises:
        InvalidInputError: it is not the certificate of a node.
    """
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, *UNREADABLE):
        names = x509.SubjectAlternativeName([])
    found = [pair for uri in names.get_values_for_type(x509.UniformResourceIdentifier) if (pair := split_node_uri(uri))]
    if len(found) != 1:
        raise InvalidInputError("the certificate does not name one node", reason="CERTIFICATE_INVALID")
    return found[0]


def utc_now() -> datetime:
    """The wall clock, as certificates count it."""
    return datetime.now(UTC)
