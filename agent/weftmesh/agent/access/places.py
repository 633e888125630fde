"""Which project a request is about.

A request names a project or a task. A task is where it is, whatever project its name says: the boards are asked, and
the queue of writes that wait.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol

from google.protobuf.message import Message

from weftmesh.agent.board.homes import Homes
from weftmesh.core.access.model import MESH
from weftmesh.core.errors import InvalidInputError
from weftmesh.core.ids import (
    ALL_PROJECTS,
    TaskRef,
    check_project_id,
    parse_conflict_name,
    parse_project_name,
    parse_task_name,
)

QUEUED_PREFIX: Final = "queuedWrites/"


class Queue(Protocol):
    """The writes that wait on this node, as far as they say where something is."""

    def project_of(self, task_id: str) -> str:
        """The project of a task that a waiting write makes; empty for one that none makes."""

    def project_of_write(self, write_id: str) -> str:
        """The project that a waiting write is for; empty for one that is not here."""


class Spot(NamedTuple):
    """A place that permissions are asked for."""

    project: str
    """Its id, or `MESH`."""
    named: bool = True
    """Whether the request itself said so: what it did not say is not told to whoever may not see it."""


EVERY: Final = None
"""In place of a spot: the method shows, of every project, what the caller may see."""


class Places:
    """Finds the project behind names.

    Attributes:
        queue: set once there is one.
    """

    def __init__(self, homes: Homes) -> None:
        self._homes = homes
        self.queue: Queue | None = None

    def of_task(self, ref: TaskRef) -> Spot:
        """Where a task is; where its name says, if nobody knows it."""
        for home in self._homes.all():
            task = home.task_anywhere(ref)
            if task is not None:
                return Spot(task.project_id, task.project_id == ref.project_id)
        waiting = self.queue.project_of(ref.task_id) if self.queue is not None and ref.task_id else ""
        return Spot(waiting or ref.project_id, not waiting or waiting == ref.project_id)

    def of_queued(self, name: str) -> Spot:
        """What a waiting write is for; the mesh, if nobody knows it."""
        project = "" if self.queue is None else self.queue.project_of_write(name.removeprefix(QUEUED_PREFIX))
        return Spot(project or MESH, named=False)


Locate = Callable[[Any, Places], Spot | None]
"""Where a request is about; EVERY for all places at once.

Raises:
    InvalidInputError: a name in it is none.
"""


def mesh(_request: Message, _places: Places) -> Spot:
    """The mesh itself."""
    return Spot(MESH)


def every(_request: Message, _places: Places) -> Spot | None:
    """Every project that the caller may see."""
    return EVERY


def project_id(request: Any, _places: Places) -> Spot:
    """`project_id`, of a project to be made."""
    return Spot(check_project_id(request.project_id))


def project_name(request: Any, _places: Places) -> Spot:
    """`name` is a project's."""
    return Spot(parse_project_name(request.name))


def project_resource(request: Any, _places: Places) -> Spot:
    """`project.name`."""
    return Spot(parse_project_name(request.project.name))


def parent(request: Any, places: Places) -> Spot | None:
    """`parent` is a project's name, a task's, `projects/-`, or empty for all."""
    if request.parent in ("", ALL_PROJECTS):
        return EVERY
    if "tasks/" in request.parent:
        return places.of_task(parse_task_name(request.parent))
    return Spot(parse_project_name(request.parent))


def task_name(request: Any, places: Places) -> Spot:
    """`name` is a task's."""
    return places.of_task(parse_task_name(request.name))


def task_resource(request: Any, places: Places) -> Spot:
    """`task.name`."""
    return places.of_task(parse_task_name(request.task.name))


def conflict_name(request: Any, places: Places) -> Spot:
    """`name` is a conflict's."""
    return places.of_task(parse_conflict_name(request.name)[0])


def queued_name(request: Any, places: Places) -> Spot:
    """`name` is a queued write's."""
    return places.of_queued(request.name)


def role_change(request: Any, _places: Places) -> Spot:
    """The place of a role to give or take."""
    kind = request.WhichOneof("change")
    if kind is None:
        raise InvalidInputError("the request names no change that this node knows; set one, or upgrade the node")
    project = getattr(request, kind).project
    return Spot(check_project_id(project) if project else MESH)
