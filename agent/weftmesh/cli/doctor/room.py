"""How much room the state directory has, in bytes and inodes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from weftmesh.cli.doctor.findings import Severity
from weftmesh.cli.doctor.mounts import Mount, mount_of
from weftmesh.cli.text import size_text

FAILURE_BYTES: Final = 64 << 20
"""Less than the log's next segment and a snapshot beside it."""
WARNING_BYTES: Final = 512 << 20


@dataclass(frozen=True, slots=True)
class Room:
    """What is left of a file system for a process without privileges."""

    mount: Mount
    total_bytes: int
    free_bytes: int
    has_inodes: bool

    @classmethod
    def of(cls, directory: Path) -> Self:
        """Ask the file system of a directory."""
        found = os.statvfs(directory)
        sizes = (found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize)
        # A file system that makes inodes as it needs them says that it has none at all.
        return cls(mount_of(directory), *sizes, has_inodes=found.f_files == 0 or found.f_favail > 0)

    @property
    def severity(self) -> Severity:
        """How bad it is."""
        if self.free_bytes < FAILURE_BYTES or not self.has_inodes:
            return Severity.FAILURE
        return Severity.WARNING if self.free_bytes < WARNING_BYTES else Severity.OK

    def __str__(self) -> str:
        inodes = "" if self.has_inodes else ", and no inode"
        where = f"{self.mount.point} ({self.mount.kind})"
        return f"{size_text(self.free_bytes)} of {size_text(self.total_bytes)} free on {where}{inodes}"
