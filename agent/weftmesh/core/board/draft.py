"""A board to try commands on: it begins as another one and changes nothing of it."""

from __future__ import annotations

from collections import ChainMap

from weftmesh.core.board.commands import Command, Header
from weftmesh.core.board.evolve import evolved
from weftmesh.core.board.machine import Board
from weftmesh.core.board.model import Project, Task
from weftmesh.core.board.outcomes import Outcome
from weftmesh.core.board.plans import Unchanged
from weftmesh.core.board.store import Store


class LayeredStore(Store):
    """The rows of `below` under rows of its own; an own row hides the one below it."""

    def __init__(self, below: Store) -> None:
        super().__init__(below.revision)
        self._below = below
        self.projects = ChainMap({}, below.projects)
        self.tasks = ChainMap({}, below.tasks)
        self._by_number: dict[tuple[str, int], str] = {}
        self._by_origin: dict[tuple[str, str], str] = {}

    def put_project(self, project: Project) -> None:
        """Adds or replaces a project."""
        self.projects[project.id] = project

    def put_task(self, task: Task) -> None:
        """Adds or replaces a task."""
        self.tasks[task.id] = task
        self._by_number[task.project_id, task.number] = task.id
        if task.origin:
            self._by_origin[task.project_id, task.origin] = task.id

    def by_number(self, project_id: str, number: int) -> Task | None:
        """The task of a project with this number in its key."""
        return self._own(self._by_number.get((project_id, number)), self._below.by_number(project_id, number))

    def by_origin(self, project_id: str, origin: str) -> Task | None:
        """The task of a project that was imported from `origin`."""
        return self._own(self._by_origin.get((project_id, origin)), self._below.by_origin(project_id, origin))

    def _own(self, task_id: str | None, below: Task | None) -> Task | None:
        if task_id is not None:
            return self.tasks[task_id]
        return None if below is None else self.tasks[below.id]


class Draft(Board):
    """Another board and what was tried on it. Of use until the other one changes; it has no lists and no events."""

    def __init__(self, below: Board) -> None:
        super().__init__()
        self._below = below
        self._store = LayeredStore(below._store)

    def lay(self, command: Command) -> Outcome:
        """What `command` comes to here; later commands see it."""
        plan, outcome = self._decide(command)
        if plan is None or isinstance(plan, Unchanged):
            return outcome
        self._store.revision = plan.after.revision
        if isinstance(plan.after, Project):
            self._store.put_project(plan.after)
            return outcome
        self._store.put_task(plan.after)
        project = self._store.projects[plan.after.project_id]
        self._store.put_project(_numbered(project, plan.after.number))
        return outcome

    def first_answer(self, header: Header) -> Outcome | None:
        """What the board below answered."""
        return self._below.first_answer(header)


def _numbered(project: Project, number: int) -> Project:
    return project if number < project.next_number else evolved(project, next_number=number + 1)
