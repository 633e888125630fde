"""An authority that is not weftmesh's, as a company has one, and the files it hands out."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from weftmesh.runtime.identity.certificate_files import CertificateFiles
from weftmesh.runtime.identity.certificates import common_name

DAY = timedelta(days=1)
BOTH = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def key_pem(key: Key) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


class Company:
    """An authority that is not weftmesh's, with one between it and the nodes."""

    def __init__(self, name: str = "Company", *, days: int = 365, now: datetime) -> None:
        self.now = now
        self.root_key, self.between_key = (
            ec.generate_private_key(ec.SECP256R1()),
            ec.generate_private_key(ec.SECP384R1()),
        )
        ends = now + timedelta(days=days)
        self.root = self._authority(f"{name} root", self.root_key, f"{name} root", self.root_key, now, ends)
        self.between = self._authority(
            f"{name} issuing", self.between_key, f"{name} root", self.root_key, now, now + 365 * DAY
        )

    @staticmethod
    def _authority(
        name: str, key: Key, issuer: str, issuer_key: Key, now: datetime, ends: datetime
    ) -> x509.Certificate:
        return (
            x509.CertificateBuilder(common_name(issuer), common_name(name), key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - DAY)
            .not_valid_after(ends)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(issuer_key, hashes.SHA256())
        )

    def certify(self, asked: Asked) -> bytes:
        builder = (
            x509.CertificateBuilder(self.between.subject, common_name("n1"), asked.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.now + asked.begins)
            .not_valid_after(self.now + asked.ends)
        )
        names = [*map(x509.UniformResourceIdentifier, asked.uris), *map(x509.DNSName, asked.dns)]
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        if asked.uses:
            builder = builder.add_extension(x509.ExtendedKeyUsage(asked.uses), critical=False)
        return pem(builder.sign(self.between_key, hashes.SHA256())) + pem(self.between)


@dataclass
class Asked:
    """What a certificate is to say; what is not given is as it should be."""

    key: Key = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    begins: timedelta = -DAY
    ends: timedelta = 30 * DAY
    uris: tuple[str, ...] = ("spiffe://lab/node/n1",)
    dns: tuple[str, ...] = ("n1.lab.weftmesh",)
    uses: tuple[x509.ObjectIdentifier, ...] = BOTH


def put_files(directory: Path, asked: Asked, company: Company) -> CertificateFiles:
    """Writes a set of files."""
    files = CertificateFiles(directory / "cert.pem", directory / "key.pem", directory / "ca.pem")
    files.certificate.write_bytes(company.certify(asked))
    files.key.write_bytes(key_pem(asked.key))
    files.key.chmod(0o600)
    files.authorities.write_bytes(pem(company.root))
    return files
