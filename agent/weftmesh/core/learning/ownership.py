"""Who trains on a replicated project: one member, wherever it is asked; another one only when members change.

Rendezvous hashing (Thaler and Ravishankar, "Using name-based mappings to increase hit rates", IEEE/ACM Transactions on
Networking 6(1), 1998): a member that comes or goes moves only the projects that it gets or had.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final

from weftmesh.core.errors import PreconditionError

MESH: Final = "mesh"
NODE_PREFIX: Final = "node:"
_SCORE_BYTES: Final = 16
_LABEL: Final = b"weftmesh/own"
"""Keeps these scores apart from any other use of the hash (`person` of BLAKE2b)."""


def owner_of(project_id: str, members: Sequence[str]) -> str:
    """The member that trains on a replicated project.

    Args:
        project_id: without the prefix of a resource name.
        members: names of the candidates, in any order.

    Raises:
        PreconditionError: there are none.
    """
    if not members:
        raise PreconditionError(f"nobody can train on project {project_id}: no member takes part", reason="NO_MEMBERS")
    return max(members, key=lambda member: (_score(project_id, member), member))


def trained_projects(node: str, homes: Iterable[tuple[str, str]], members: Sequence[str]) -> tuple[str, ...]:
    """The projects that `node` trains on: those whose home it is, and the replicated ones that it owns; sorted.

    Args:
        node: its name.
        homes: a project's id, and its home: `mesh` or `node:NAME`.
        members: who takes part; a node that does not owns no replicated project.
    """
    home = NODE_PREFIX + node
    return tuple(
        sorted(
            project_id
            for project_id, where in homes
            if where == home or (where == MESH and node in members and owner_of(project_id, members) == node)
        )
    )


def _score(project_id: str, member: str) -> bytes:
    # Neither name may hold a zero byte, so that no two pairs are hashed alike.
    text = f"{project_id}\0{member}".encode()
    return hashlib.blake2b(text, digest_size=_SCORE_BYTES, person=_LABEL).digest()
