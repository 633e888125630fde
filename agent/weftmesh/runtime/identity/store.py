"""DATA/identity: where a node keeps its key, its certificate, and the authority if it has it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from weftmesh.core.errors import DataCorruptionError, PreconditionError
from weftmesh.runtime.files import make_private_directory, read_private, sync_directory, write_atomic
from weftmesh.runtime.identity.authority import Authority
from weftmesh.runtime.identity.certificates import load_certificates, to_der
from weftmesh.runtime.identity.material import IdentityMaterial

_PUBLIC_FILE_MODE: Final = 0o644


@dataclass(frozen=True, slots=True)
class IdentityStore:
    """Reads and writes the files of `directory`; keys are 0600 and are refused when they are not."""

    directory: Path

    @property
    def tokens_path(self) -> Path:
        """Where the join tokens are kept."""
        return self.directory / "tokens.json"

    @property
    def has_authority(self) -> bool:
        """Whether this node can sign certificates."""
        return (self.directory / "ca.key").exists()

    def save(self, material: IdentityMaterial) -> None:
        """Write an identity; each file is whole or as it was, and the certificate comes last."""
        make_private_directory(self.directory)
        write_atomic(self.directory / "node.key", material.key_pem)
        write_atomic(self.directory / "ca.pem", material.authority_pem, mode=_PUBLIC_FILE_MODE)
        self.save_certificate(material)

    def save_certificate(self, material: IdentityMaterial) -> None:
        """Write a renewed certificate."""
        write_atomic(self.directory / "node.pem", material.certificate_pem, mode=_PUBLIC_FILE_MODE)

    def load(self) -> IdentityMaterial:
        """Read this node's identity.

        Raises:
            PreconditionError: there is none yet, or others may read the key.
            DataCorruptionError: the files are damaged or do not belong together.
        """
        try:
            return IdentityMaterial.assemble(
                authority_pem=(self.directory / "ca.pem").read_bytes(),
                certificate_pem=(self.directory / "node.pem").read_bytes(),
                key_pem=read_private(self.directory / "node.key"),
            )
        except FileNotFoundError as error:
            raise PreconditionError(
                f"{error.filename} is missing: this node has no identity;"
                " run `weftmesh init` to found a mesh or `weftmesh join` to join one",
                reason="NO_IDENTITY",
            ) from error

    def save_trusted(self, material: IdentityMaterial) -> None:
        """Write which authorities are trusted."""
        write_atomic(self.directory / "ca.pem", material.authority_pem, mode=_PUBLIC_FILE_MODE)

    def save_authority(self, authority: Authority) -> None:
        """Write a new cluster's authority: the one copy of its key there is."""
        make_private_directory(self.directory)
        write_atomic(self.directory / "ca.key", authority.key_pem)
        write_atomic(self.directory / "ca.pem", authority.certificate_pem, mode=_PUBLIC_FILE_MODE)

    def load_authority(self) -> Authority:
        """Read the cluster's authority.

        Raises:
            PreconditionError: it is kept on another node, or others may read its key.
            DataCorruptionError: the files are damaged or do not belong together.
        """
        try:
            key_pem = read_private(self.directory / "ca.key")
            bundle = (self.directory / "ca.pem").read_bytes()
        except FileNotFoundError as error:
            raise PreconditionError(
                "the cluster's authority is not on this node; do this on the node where the mesh was founded",
                reason="NO_AUTHORITY",
            ) from error
        coming = self.directory / "ca-next.pem"
        # A rotation may have been cut short between two files: the key says which certificate is its own.
        try:
            return Authority.load(bundle + (coming.read_bytes() if coming.exists() else b""), key_pem)
        except DataCorruptionError:
            # Or before the keys were exchanged: the present one's certificate is out of the bundle already.
            ended = self.load_coming()
            if ended is None or ended.certificate_der not in map(to_der, load_certificates(bundle, what="ca.pem")):
                raise
            return ended

    def load_coming(self) -> Authority | None:
        """The authority that a rotation is to bring; None when there is none here.

        Raises:
            PreconditionError: others may read its key.
            DataCorruptionError: the files are damaged or do not belong together.
        """
        try:
            key_pem = read_private(self.directory / "ca-next.key")
            return Authority.load((self.directory / "ca-next.pem").read_bytes(), key_pem)
        except FileNotFoundError:
            return None

    def save_coming(self, authority: Authority) -> Authority:
        """Write the authority that a rotation is to bring, key first; returns it."""
        (self.directory / "ca-next.pem").unlink(missing_ok=True)  # of an earlier one, it would not fit the new key
        write_atomic(self.directory / "ca-next.key", authority.key_pem)
        write_atomic(self.directory / "ca-next.pem", authority.certificate_pem, mode=_PUBLIC_FILE_MODE)
        return authority

    def promote_coming(self) -> None:
        """Put the coming authority's key in the place of the present one's; ca.pem has its certificate already."""
        (self.directory / "ca-next.key").replace(self.directory / "ca.key")
        sync_directory(self.directory)
        (self.directory / "ca-next.pem").unlink(missing_ok=True)

    def drop_coming(self) -> None:
        """Delete the coming authority."""
        for name in ("ca-next.key", "ca-next.pem"):
            (self.directory / name).unlink(missing_ok=True)
        sync_directory(self.directory)
