"""Which projects this node trains on: its own, and those of the mesh that fall to it, so that each counts once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Final

from weftmesh.agent.board.homes import MESH, Homes
from weftmesh.agent.learning.replica import Replica, members_of
from weftmesh.core.board.machine import Board
from weftmesh.core.board.model import Project
from weftmesh.core.board.reading import Cursor

PAGE_SIZE: Final = 500


def owner_of(project_id: str, nodes: Iterable[str]) -> str:
    """The node that trains on a mesh project; the same wherever it is asked for, and empty when there is no node.

    Rendezvous hashing (Thaler and Ravishankar, 1998): when a node comes or goes, only its own projects move.
    """
    return max(nodes, key=lambda node: (hashlib.sha256(f"{node}\0{project_id}".encode()).digest(), node), default="")


def _projects(board: Board) -> Iterator[Project]:
    """All of a board, but for those that are deleted."""
    after: Cursor | None = None
    while True:
        page = board.list_projects(after=after, limit=PAGE_SIZE)
        yield from page.projects
        after = page.next_cursor
        if after is None:
            return


class TrainingProjects:
    """Deals the mesh's projects out among those who take part."""

    def __init__(self, node: str, homes: Homes, replica: Replica) -> None:
        self._node = node
        self._homes = homes
        self._replica = replica

    def ids(self, job: str) -> list[str]:
        """The ids of the projects that this node trains on for `job`, sorted; deleted ones are nobody's."""
        nodes = self._nodes(job)
        own = [one.id for one in _projects(self._homes.local.board)]
        shared = [
            one.id
            for one in _projects(self._homes.mesh.board)
            if one.home == MESH and owner_of(one.id, nodes) == self._node
        ]
        return sorted({*own, *shared})

    def _nodes(self, job: str) -> tuple[str, ...]:
        """Who takes part: by the round under way, since then all agree on it."""
        learning = self._replica.learning
        known = learning.job(job)
        under_way = learning.round(known.round_id) if known is not None and known.round_id else None
        if under_way is not None:
            return under_way.contributors
        return tuple(name for name in members_of(self._replica.status) if not learning.is_opted_out(name, job))
