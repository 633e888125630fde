"""DATA/identity: where a node keeps its key, its certificate, and the authority if it has it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from weftmesh.core.errors import PreconditionError
from weftmesh.runtime.files import make_private_directory, read_private, write_atomic
from weftmesh.runtime.identity.authority import Authority
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

    def save_authority(self, authority: Authority) -> None:
        """Write the cluster's authority: the one copy of its key there is."""
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
            return Authority.load((self.directory / "ca.pem").read_bytes(), read_private(self.directory / "ca.key"))
        except FileNotFoundError as error:
            raise PreconditionError(
                "the cluster's authority is not on this node; do this on the node where the mesh was founded",
                reason="NO_AUTHORITY",
            ) from error
