"""Which projects this node trains on: its own, and those of the mesh that fall to it, so that each counts once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from weftmesh.agent.board.homes import MESH, Homes
from weftmesh.agent.learning.replica import Replica, members_of
from weftmesh.core.board.machine import Board
from weftmesh.core.board.model import Project
from weftmesh.core.board.reading import Cursor
from weftmesh.core.learning.ownership import trained_projects

PAGE_SIZE: Final = 500


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
        own = [one.id for one in _projects(self._homes.local.board)]
        of_mesh = ((one.id, one.home) for one in _projects(self._homes.mesh.board) if one.home == MESH)
        return sorted({*own, *trained_projects(self._node, of_mesh, self._nodes(job))})

    def _nodes(self, job: str) -> tuple[str, ...]:
        """Who takes part: by the round under way, since then all agree on it."""
        learning = self._replica.learning
        known = learning.job(job)
        under_way = learning.round(known.round_id) if known is not None and known.round_id else None
        if under_way is not None:
            return under_way.contributors
        return tuple(name for name in members_of(self._replica.status) if not learning.is_opted_out(name, job))
