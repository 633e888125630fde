"""What a plan of an import is made of: the board as it compares, and the writes it comes to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from weftmesh.core.board.model import FieldValue
from weftmesh.core.exchange.problems import Problem
from weftmesh.core.exchange.values import blank


@dataclass(frozen=True, slots=True)
class ImportRules:
    """Who wins, and what else a plan does.

    Attributes:
        prefer_file: where both sides changed the same field, the file wins.
        overwrite: what was edited on the board goes back to what the file says, whoever changed it last.
        mirror: list edits made on the board as drift, and mark tasks that vanished from the file.
        now: ISO 8601 in UTC; the mark that a vanished task gets.
    """

    prefer_file: bool = False
    overwrite: bool = False
    mirror: bool = False
    now: str = ""


@dataclass(frozen=True, slots=True)
class ExistingTask:
    """What the plan has to know of a task on the board."""

    name: str
    """projects/{project}/tasks/{id}"""
    key: str
    origin: str
    """For a task that nobody imported: weftmesh:KEY."""
    etag: str
    created: str
    """ISO 8601 in UTC, as the board's own export prints it."""
    deleted: bool
    fields: Mapping[str, FieldValue]
    """By path; an absent one is blank. Tasks are named by their resource names."""
    taken_back: bool = False
    """Deleted, and by the undo of an import."""

    def value(self, path: str) -> FieldValue:
        """The value at `path`."""
        return self.fields.get(path, blank(path))


@dataclass(frozen=True, slots=True)
class NewProject:
    """A project that rows belong to and the board does not have."""

    id: str
    title: str


@dataclass(frozen=True, slots=True)
class PlannedCreate:
    """A task to make."""

    project_id: str
    task_id: str
    origin: str
    number_hint: int
    fields: Mapping[str, FieldValue]
    line: int


@dataclass(frozen=True, slots=True)
class PlannedRestore:
    """A task to bring back: an undo had taken it away, and the file has it."""

    name: str
    origin: str
    line: int


@dataclass(frozen=True, slots=True)
class PlannedUpdate:
    """Fields to change of a task that exists by then."""

    name: str
    origin: str
    changes: Mapping[str, FieldValue]
    line: int
    etag: str = ""
    """The version to merge against; empty when `base` says it all."""
    base: Mapping[str, FieldValue] | None = None
    """The values the plan saw; None leaves that to the version."""
    of_new: bool = False
    """Completes a task that the same plan makes or brings back."""


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """What one import would write, in this order: projects, creates, restores, updates."""

    projects_to_create: tuple[NewProject, ...]
    create: tuple[PlannedCreate, ...]
    restore: tuple[PlannedRestore, ...]
    update: tuple[PlannedUpdate, ...]
    unchanged: int
    problems: tuple[Problem, ...]
    """Rows that cannot be written."""
    notes: tuple[Problem, ...]
    """What somebody should know and what stops nothing."""
    drift: tuple[Problem, ...] = ()
    """Of a mirror: fields that were edited on the board."""
    vanished: int = 0
    """Of a mirror: tasks that the file no longer has, counted once."""
