"""What can be asked of the machine of roles."""

from __future__ import annotations

from weftmesh.core.access.roles import Role
from weftmesh.core.board.commands import Header
from weftmesh.core.records import record


@record(frozen=True, slots=True)
class GrantRole:
    """Give a subject a role on a project or on the mesh; it takes the place of the one it had there."""

    header: Header
    subject: str
    project: str
    role: Role
    why: str = ""


@record(frozen=True, slots=True)
class RevokeRole:
    """Take away whatever role a subject has on a project or on the mesh."""

    header: Header
    subject: str
    project: str
    why: str = ""


Command = GrantRole | RevokeRole
