"""What the machine of roles keeps: bindings."""

from __future__ import annotations

from typing import Final

from weftmesh.core.access.roles import Role
from weftmesh.core.records import record

MESH: Final = ""
"""In place of a project: the mesh itself, and with it every project."""


class Limits:
    """Bounds that every replica keeps alike."""

    BINDINGS: Final = 10_000
    EVENTS_KEPT: Final = 1_000
    WHY_CHARACTERS: Final = 500


@record(frozen=True, slots=True)
class Binding:
    """A subject has a role on a project, or on the mesh."""

    project: str
    """The project's id, or `MESH`."""
    subject: str
    """As `subjects.Subject` writes it."""
    role: Role
    actor: str
    """Who bound it, and when."""
    stamp: int


def place_text(project: str) -> str:
    """Where a role holds, in words."""
    return f"project {project}" if project else "the mesh"
