"""The boards of one node: the replicated one, and the node's own for projects whose tasks may not leave it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from weftmesh.agent.board.command_writer import CommandWriter
from weftmesh.agent.board.event_feed import EventFeed
from weftmesh.agent.board.machines import LogMachines
from weftmesh.agent.raft.engine import RaftEngine
from weftmesh.core.board.machine import Board
from weftmesh.core.board.model import Project, Task
from weftmesh.core.errors import PreconditionError
from weftmesh.core.ids import TaskRef

MESH: Final = "mesh"
NODE_PREFIX: Final = "node:"


@dataclass(slots=True)
class Home:
    """One board, the log that orders its writes, and the feed of its events."""

    name: str
    """`mesh`, or `node:NAME`."""
    machine: LogMachines
    engine: RaftEngine
    pending_writes_max: int
    writer: CommandWriter = field(init=False)
    feed: EventFeed = field(init=False)

    def __post_init__(self) -> None:
        self.writer = CommandWriter(self.engine, self.pending_writes_max)
        self.feed = EventFeed(self.machine)

    @property
    def board(self) -> Board:
        """The board as it is now; a snapshot may replace it."""
        return self.machine.board

    def find_task(self, ref: TaskRef) -> Task | None:
        """The task here that a resource name means, deleted or not; none if the name says another project.

        A caller is judged by that project before this node may have heard of the task.
        """
        task = self.task_anywhere(ref)
        return task if task is not None and task.project_id == ref.project_id else None

    def task_anywhere(self, ref: TaskRef) -> Task | None:
        """The same, in whatever project it is."""
        return self.board.find_task(ref.task_id or f"{ref.project_id}-{ref.number}")

    def project_of(self, task_id: str) -> str:
        """The project of a task here, for its resource name; `-` for one that is not here."""
        task = self.board.find_task(task_id)
        return task.project_id if task else "-"


class Homes:
    """Finds the board of a project."""

    def __init__(self, mesh: Home, local: Home) -> None:
        self.mesh = mesh
        self.local = local

    def all(self) -> tuple[Home, Home]:
        """Both boards."""
        return self.mesh, self.local

    def of_project(self, project_id: str) -> Home:
        """The home of a project's tasks. A project nobody knows belongs to the mesh, which will say so.

        This node's own projects are asked first: after a restart the replicated board may not know their names yet,
        and what is meant for them must not enter its log.

        Raises:
            PreconditionError: its tasks live on another node.
        """
        if self.local.board.project(project_id) is not None:
            return self.local
        project = self.mesh.board.project(project_id)
        if project is None or project.home == MESH:
            return self.mesh
        return self.of_name(project.home, project_id)

    def of_name(self, home: str, project_id: str) -> Home:
        """The home called `home`.

        Raises:
            PreconditionError: it is another node's.
        """
        if home == MESH:
            return self.mesh
        if home == self.local.name:
            return self.local
        node = home.removeprefix(NODE_PREFIX)
        raise PreconditionError(
            f"project {project_id} lives on node {node} and its tasks never leave it; ask there",
            reason="PROJECT_ELSEWHERE",
            metadata={"node": node},
        )

    def visible_project(self, project: Project) -> Project:
        """A replicated project as this node sees it: its own node's projects with everything, others' by name."""
        if project.home != self.local.name:
            return project
        return self.local.board.project(project.id) or project

    def visible_projects(self, projects: Iterable[Project], *, show_deleted: bool) -> list[Project]:
        """Of replicated projects those to show here: only its own node knows that a project of a node is deleted."""
        visible = map(self.visible_project, projects)
        return [project for project in visible if show_deleted or not project.deleted_stamp]

    def find_project(self, project_id: str) -> Project | None:
        """The project as this node sees it, deleted or not."""
        project = self.mesh.board.project(project_id)
        return self.local.board.project(project_id) if project is None else self.visible_project(project)
