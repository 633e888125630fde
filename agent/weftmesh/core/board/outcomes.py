"""What comes of a command: one outcome for the writer, and events for everybody who watches."""

from __future__ import annotations

from enum import IntEnum

from weftmesh.core.board.model import Collision, Project, Task
from weftmesh.core.records import record


class OutcomeKind(IntEnum):
    """How a command ended. Numbers are written to disk."""

    APPLIED = 1
    UNCHANGED = 2
    """The board already said so; no revision was used."""
    INVALID = 3
    NOT_FOUND = 4
    ALREADY_EXISTS = 5
    COLLISION = 6
    """Others changed the same since the version the writer saw; `collisions` says what."""
    PRECONDITION = 7
    REQUEST_REUSED = 8
    """The request id was used for another request."""
    STORED_CONFLICT = 9
    """Applied as far as it merged; the rest waits as a conflict on the task."""


CHANGED = frozenset({OutcomeKind.APPLIED, OutcomeKind.STORED_CONFLICT})
SUCCESS = CHANGED | {OutcomeKind.UNCHANGED}


@record(frozen=True, slots=True)
class Outcome:
    """The answer to one command. A conflict is an outcome, not an exception."""

    kind: OutcomeKind
    revision: int
    """The board revision of the change; the present one when nothing changed."""
    subject: str = ""
    """The task's or project's id, where there is one."""
    message: str = ""
    """For people, when it was not a success: what, where, what to do."""
    collisions: tuple[Collision, ...] = ()
    mergeable_paths: tuple[str, ...] = ()
    current_version: int = 0
    """The version after a success, or the one that the writer missed."""

    @property
    def ok(self) -> bool:
        """Whether the writer got what it asked for, or a visible conflict in its place."""
        return self.kind in SUCCESS


@record(frozen=True, slots=True)
class TaskChanged:
    """A task was made or changed; `task.history[-1]` says by whom and how. `before` is None for a new task."""

    revision: int
    task: Task
    before: Task | None


@record(frozen=True, slots=True)
class ProjectChanged:
    """A project was made or changed."""

    revision: int
    project: Project
    before: Project | None
    actor: str
    stamp: int


Event = TaskChanged | ProjectChanged
