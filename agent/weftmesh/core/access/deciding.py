"""What the bindings say of one caller: its role on a project, and whether bindings say anything there at all."""

from __future__ import annotations

from collections.abc import Iterable

from weftmesh.core.access.machine import Access
from weftmesh.core.access.model import MESH
from weftmesh.core.access.roles import ROLE_NEEDED, Permission, Role


def is_governed(access: Access, project: str) -> bool:
    """Whether bindings decide on `project`: it has some, or the mesh has, which is over every project."""
    return bool(access.roles_on(MESH)) or (project != MESH and bool(access.roles_on(project)))


def role_of(access: Access, subjects: Iterable[str], project: str) -> Role | None:
    """The highest role that any of a caller's subjects has on `project`, roles on the mesh included; None for none."""
    places = (access.roles_on(MESH),) if project == MESH else (access.roles_on(project), access.roles_on(MESH))
    found = [role for subject in subjects for roles in places if (role := roles.get(subject)) is not None]
    return max(found, default=None)


def permits(role: Role | None, permission: Permission) -> bool:
    """Whether a role is enough for a permission that roles give."""
    needed = ROLE_NEEDED.get(permission)
    return needed is not None and role is not None and role >= needed


def granters(access: Access, project: str) -> list[str]:
    """Who may give a role on `project`: its admins and those of the mesh, sorted."""
    places = {MESH, project}
    return sorted({one for place in places for one, role in access.roles_on(place).items() if role is Role.ADMIN})
