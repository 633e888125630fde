"""Bindings and roles as callers see them, and what a change would do besides."""

from __future__ import annotations

from typing import cast

from weftmesh.access.v1 import access_pb2
from weftmesh.core.access.commands import Command, GrantRole
from weftmesh.core.access.deciding import is_governed
from weftmesh.core.access.machine import Access
from weftmesh.core.access.model import MESH, Binding
from weftmesh.core.access.roles import Role
from weftmesh.core.clock import stamp_to_ms


def role_number(role: Role | None) -> access_pb2.Role:
    """The number of a role in answers; unspecified for none."""
    return cast("access_pb2.Role", 0 if role is None else int(role))


def binding_message(binding: Binding) -> access_pb2.RoleBinding:
    """A binding as it is listed."""
    message = access_pb2.RoleBinding(
        subject=binding.subject, project=binding.project, role=role_number(binding.role), actor=binding.actor
    )
    message.time.FromMilliseconds(stamp_to_ms(binding.stamp))
    return message


def effects_of(access: Access, command: Command) -> list[str]:
    """What a change does beyond giving or taking one role, a sentence each."""
    project = command.project
    if isinstance(command, GrantRole):
        if is_governed(access, project):
            return []
        if project == MESH:
            return [
                "the mesh has its first role: from now on callers without a role see and change nothing, on every node"
            ]
        effects = [
            f"project {project} has its first role: from now on only callers with a role on it, or on the mesh, see or "
            "change it, on every node"
        ]
        if next(access.bindings(), None) is None:
            effects.append(
                "it is the first role at all: from now on backups, join tokens, the return of a revoked node and "
                "agreements take a role on the mesh, or root"
            )
        return effects
    last = set(access.roles_on(project)) == {command.subject}
    if last and project != MESH and not access.roles_on(MESH):
        return [f"project {project} has no role left: from now on it is open to whoever may open the socket"]
    return []
