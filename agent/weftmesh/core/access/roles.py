"""Roles, what each of them permits, and the words that people use for both."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import Final

from weftmesh.core.errors import InvalidInputError


class Role(IntEnum):
    """What a subject is on a project or on the mesh; each permits all that the one before does. Written to disk."""

    VIEWER = 1
    EDITOR = 2
    ADMIN = 3


class Permission(StrEnum):
    """What a call needs."""

    CALL = "call"
    """Nothing but to be known: any local user who may open the socket, any member."""
    VIEW = "view"
    EDIT = "edit"
    ADMINISTER = "administer"
    SERVE = "serve"
    """To be one of the node's own processes."""
    PEER = "peer"
    """To be a node with a certificate of the mesh, on the mesh port."""


ROLE_NEEDED: Final[Mapping[Permission, Role]] = MappingProxyType(
    {Permission.VIEW: Role.VIEWER, Permission.EDIT: Role.EDITOR, Permission.ADMINISTER: Role.ADMIN}
)
"""The lowest role that permits it; the other permissions are not given by roles."""


def role_named(word: str) -> Role:
    """The role called `word`.

    Raises:
        InvalidInputError: there is none of that name.
    """
    try:
        return Role[word.upper()]
    except KeyError:
        known = ", ".join(one.name.lower() for one in Role)
        raise InvalidInputError(f"{word[:40]!r} is no role; write one of {known}") from None


def permission_named(word: str) -> Permission:
    """The permission called `word`, of those that roles give.

    Raises:
        InvalidInputError: there is none of that name.
    """
    for permission in ROLE_NEEDED:
        if permission == word:
            return permission
    raise InvalidInputError(f"{word[:40]!r} is no permission; write one of {', '.join(ROLE_NEEDED)}")
