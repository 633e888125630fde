"""The rows of a board and the indexes over them; every index follows from the rows."""

from __future__ import annotations

import re
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass, field

from weftmesh.core.board.model import Project, Task

_KEY = re.compile(r"([A-Z][A-Z0-9_]{1,15})-([1-9][0-9]{0,8})", re.ASCII)


@dataclass(slots=True)
class ProjectIndex:
    """What is known of a project's tasks, by id."""

    order: list[str] = field(default_factory=list)
    """In order of creation."""
    renumbered: dict[int, str] = field(default_factory=dict)
    """By number, those whose number is not their place in the order, as most are."""
    by_origin: dict[str, str] = field(default_factory=dict)
    live: int = 0
    """Tasks that are not deleted."""


class Store:
    """Projects and tasks, each in order of creation, at one revision."""

    def __init__(self, revision: int = 0) -> None:
        self.revision = revision
        self.projects: MutableMapping[str, Project] = {}
        self.tasks: MutableMapping[str, Task] = {}
        self.order: list[str] = []
        """Ids of all tasks in order of creation."""
        self.indexes: dict[str, ProjectIndex] = {}
        self.conflicted: set[str] = set()
        """Ids of tasks with open conflicts; sort before use."""

    def put_project(self, project: Project) -> None:
        """Adds or replaces a project."""
        self.projects[project.id] = project
        if project.id not in self.indexes:
            self.indexes[project.id] = ProjectIndex()

    def put_task(self, task: Task) -> None:
        """Adds or replaces a task of a project that is here."""
        before = self.tasks.get(task.id)
        index = self.indexes[task.project_id]
        self.tasks[task.id] = task
        if before is None:
            self.order.append(task.id)
            index.order.append(task.id)
            if task.number != len(index.order):
                index.renumbered[task.number] = task.id
            if task.origin:
                index.by_origin[task.origin] = task.id
        index.live += (not task.deleted_stamp) - (before is not None and not before.deleted_stamp)
        if task.conflicts:
            self.conflicted.add(task.id)
        elif before is not None and before.conflicts:
            self.conflicted.discard(task.id)

    def find(self, ref: str) -> Task | None:
        """The task with this id or key."""
        task = self.tasks.get(ref)
        if task is not None:
            return task
        matched = _KEY.fullmatch(ref)
        return None if matched is None else self.by_number(matched[1], int(matched[2]))

    def by_number(self, project_id: str, number: int) -> Task | None:
        """The task of a project with this number in its key."""
        index = self.indexes.get(project_id)
        if index is None:
            return None
        task_id = index.renumbered.get(number)
        if task_id is not None:
            return self.tasks[task_id]
        if not 1 <= number <= len(index.order):
            return None
        task = self.tasks[index.order[number - 1]]
        return task if task.number == number else None

    def by_origin(self, project_id: str, origin: str) -> Task | None:
        """The task of a project that was imported from `origin`."""
        index = self.indexes.get(project_id)
        task_id = index.by_origin.get(origin) if index is not None and origin else None
        return None if task_id is None else self.tasks[task_id]

    def in_order(self, project_id: str | None) -> Sequence[str]:
        """Ids of a project's tasks, or of all, in order of creation."""
        if project_id is None:
            return self.order
        index = self.indexes.get(project_id)
        return () if index is None else index.order
