"""What the checks look at: one node's configuration, its files, and what it and the other members answer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from weftmesh.cli.doctor.remedies import FOUNDER, Remedies
from weftmesh.cli.doctor.survey import Survey
from weftmesh.runtime.config import Config
from weftmesh.runtime.identity.founding import identity_store
from weftmesh.runtime.identity.store import IdentityStore


@dataclass(frozen=True, slots=True)
class Patient:
    """The node under examination.

    Attributes:
        config: its configuration, which holds.
        socket: where its local socket has to be.
        remedies: the commands of this machine.
        surveying: asks the node and the other members, once for all checks.
    """

    config: Config
    socket: Path
    remedies: Remedies
    surveying: asyncio.Future[Survey]

    @property
    def data_dir(self) -> Path:
        """Where it keeps its state."""
        return self.config.node.data_dir

    @property
    def identity(self) -> IdentityStore:
        """Where it keeps who it is."""
        return identity_store(self.data_dir)

    @property
    def founder(self) -> str:
        """Where the mesh's authority is, as a fix says it: here, or on a node that only people know."""
        return "" if self.identity.has_authority else FOUNDER

    def place(self, section: str, key: str) -> tuple[Path, int] | None:
        """The file and line that a setting is in; None where it has its default, or is from the environment."""
        origin = next(one.origin for one in self.config.settings if (one.section, one.key) == (section, key))
        file, _, line = origin.rpartition(":")
        return (Path(file), int(line)) if file.startswith("/") and line.isdigit() else None

    async def survey(self) -> Survey:
        """What was answered; a check whose time is up does not end it for the others."""
        return await asyncio.shield(self.surveying)
