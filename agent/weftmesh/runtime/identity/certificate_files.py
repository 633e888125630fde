"""[tls] mode = "files": a certificate that was issued elsewhere, and every reason why a mesh could not use it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Self

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from weftmesh.core.errors import InvalidInputError, WeftmeshError
from weftmesh.runtime.config import TlsConfig
from weftmesh.runtime.config_schema import CREDENTIALS_PREFIX
from weftmesh.runtime.files import read_private
from weftmesh.runtime.identity.certificates import (
    UNREADABLE,
    load_certificates,
    load_key,
    node_dns_name,
    node_of,
    node_uri,
)
from weftmesh.runtime.identity.chain import authority_of
from weftmesh.runtime.identity.material import IdentityMaterial

FILE_BYTES_MAX: Final = 256 * 1024
CERTIFICATE_INVALID: Final = "CERTIFICATE_INVALID"
_ADVICE: Final = "restore it from a backup or join again"
"""For files that are the node's own."""
_USES: Final = {
    ExtendedKeyUsageOID.SERVER_AUTH: "serverAuth",
    ExtendedKeyUsageOID.CLIENT_AUTH: "clientAuth",
}


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """Where a node's certificate (chain first to last), its key, and the authorities to trust are; all PEM.

    Attributes:
        certificate: the node's own first, then those that issued it, but for the authority.
        key: ECDSA on P-256.
        authorities: one or more.
        key_is_credential: systemd looks after who may read it.
    """

    certificate: Path
    key: Path
    authorities: Path
    key_is_credential: bool = False

    @classmethod
    def of(cls, config: TlsConfig, environment: Mapping[str, str]) -> Self:
        """The files that a configuration with mode = "files" names.

        Raises:
            InvalidInputError: a path is below $CREDENTIALS_DIRECTORY, and there is no such directory.
        """

        def path(setting: str) -> Path:
            if not setting.startswith(CREDENTIALS_PREFIX):
                return Path(setting)
            directory = environment.get("CREDENTIALS_DIRECTORY")
            if not directory:
                raise _invalid(
                    f"[tls] names {setting}, and this process was not given credentials; start it by systemd with "
                    "LoadCredential=, or name the file itself"
                )
            return Path(directory, setting.removeprefix(CREDENTIALS_PREFIX))

        in_credentials = config.key_file.startswith(CREDENTIALS_PREFIX)
        return cls(path(config.cert_file), path(config.key_file), path(config.ca_file), in_credentials)

    def signature(self) -> tuple[tuple[int, ...], ...]:
        """What changes when a file is replaced or rewritten."""
        return tuple(_signature(path) for path in (self.certificate, self.key, self.authorities))

    def load(self, now: datetime) -> IdentityMaterial:
        """Read the files, and check all that does not depend on the mesh.

        Raises:
            InvalidInputError: CERTIFICATE_INVALID; the message names the file, what is wrong, and what is needed.
        """
        try:
            return self._load(now)
        except UNREADABLE as error:
            raise _invalid(
                f"{self.certificate}, {self.key} or {self.authorities} holds what this program cannot read ({error}); "
                "have it issued anew"
            ) from error

    def _load(self, now: datetime) -> IdentityMaterial:
        certificate_pem, authority_pem = self._read(self.certificate), self._read(self.authorities)
        key_pem = self._read(self.key, private=not self.key_is_credential)
        try:
            chain = load_certificates(certificate_pem, what=str(self.certificate))
            authorities = load_certificates(authority_pem, what=str(self.authorities))
            key = load_key(key_pem, what=str(self.key))
        except WeftmeshError as error:
            raise _invalid(str(error).replace(_ADVICE, "put a PEM file there")) from error
        if chain[0].public_key() != key.public_key():
            raise _invalid(f"{self.key} is not the key of {self.certificate}; put both of one pair there")
        _check_names(chain[0], self.certificate)
        _check_uses(chain[0], self.certificate)
        _check_in_force(chain, now, self.certificate)
        _check_in_force([_check_chain(chain, authorities, self.certificate, self.authorities)], now, self.authorities)
        return IdentityMaterial.assemble(authority_pem=authority_pem, certificate_pem=certificate_pem, key_pem=key_pem)

    def load_for(self, node: str, cluster: str, now: datetime) -> IdentityMaterial:
        """The same, for a node whose names are settled.

        Raises:
            InvalidInputError: as `load` does; or the certificate is another node's, or of another mesh.
        """
        material = self.load(now)
        if (material.node, material.cluster) != (node, cluster):
            raise _invalid(
                f"{self.certificate} is the certificate of {material.node!r} in mesh {material.cluster!r}, and this is "
                f"{node!r} in {cluster!r}; it needs the URI {node_uri(node, cluster)}"
            )
        return material

    def _read(self, path: Path, *, private: bool = False) -> bytes:
        try:
            data = read_private(path) if private else path.read_bytes()
        except OSError as error:
            raise _invalid(f"{path} cannot be read: {error.strerror}; see [tls] in the configuration") from error
        if len(data) > FILE_BYTES_MAX:
            raise _invalid(f"{path} exceeds {FILE_BYTES_MAX} bytes; it is to hold certificates in PEM alone")
        return data


def present_identity(
    config: TlsConfig, load_stored: Callable[[], IdentityMaterial], node: str, cluster: str, now: datetime
) -> IdentityMaterial:
    """The identity to start with.

    Where certificates come from files, those count; the copy that was made of the last good ones bridges the time until
    a broken set is mended.

    Raises:
        WeftmeshError: there is none that can be used.
    """
    if not config.from_files:
        return load_stored()
    try:
        return CertificateFiles.of(config, os.environ).load_for(node, cluster, now)
    except WeftmeshError as error:
        try:
            stored = load_stored()
        except WeftmeshError:
            raise error from None
        if stored.not_after <= now:
            raise
        return stored


def _signature(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_mtime_ns, found.st_size


def _check_names(certificate: x509.Certificate, path: Path) -> None:
    try:
        node, cluster = node_of(certificate)
    except InvalidInputError as error:
        raise _invalid(
            f"{path} does not say whose it is: it needs one subject alternative name URI:spiffe://CLUSTER/node/NAME "
            "and DNS:NAME.CLUSTER.weftmesh"
        ) from error
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    if node_dns_name(node, cluster) not in names.get_values_for_type(x509.DNSName):
        raise _invalid(
            f"{path} lacks the subject alternative name DNS:{node_dns_name(node, cluster)}, which others check when "
            "they call this node; have it issued with that name"
        )


def _check_uses(certificate: x509.Certificate, path: Path) -> None:
    """Both ends of a connection show the same certificate. Extensions that are absent forbid nothing (RFC 5280)."""
    try:
        allowed = set(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        allowed = {*_USES}
    if missing := [name for use, name in _USES.items() if use not in allowed]:
        raise _invalid(
            f"{path} must not be used for {' and '.join(missing)}; a node calls and is called, so its extended key "
            "usage needs both serverAuth and clientAuth"
        )
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return
    if not usage.digital_signature:
        raise _invalid(f"{path} must not be used to sign; its key usage needs digitalSignature")


def _check_in_force(certificates: list[x509.Certificate], now: datetime, path: Path) -> None:
    for one in certificates:
        begins, ends = one.not_valid_before_utc, one.not_valid_after_utc
        if not begins <= now <= ends:
            what = "has expired" if now > ends else "is not in force yet"
            raise _invalid(
                f"{path}: {one.subject.rfc4514_string() or 'the certificate'} {what} (from {begins:%Y-%m-%d %H:%M:%SZ} "
                f"to {ends:%Y-%m-%d %H:%M:%SZ}, this node's clock says {now:%Y-%m-%d %H:%M:%SZ}); put one there that is"
            )


def _check_chain(
    chain: list[x509.Certificate], authorities: list[x509.Certificate], certificate: Path, bundle: Path
) -> x509.Certificate:
    for one in authorities:
        try:
            is_authority = one.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        except x509.ExtensionNotFound:
            is_authority = False
        if not is_authority:
            raise _invalid(f"{bundle}: {one.subject.rfc4514_string()} is no authority; put only authorities there")
    try:
        return authority_of(chain, authorities)
    except InvalidInputError as error:
        raise _invalid(
            f"{certificate} does not lead to an authority in {bundle}; put the certificates between them behind the "
            f"node's own in {certificate}, or the right authority into {bundle}"
        ) from error


def _invalid(message: str) -> InvalidInputError:
    return InvalidInputError(message, reason=CERTIFICATE_INVALID)
