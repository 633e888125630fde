"""What a board holds: immutable values, so that a snapshot or a reader may keep them while the board moves on."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Final

from weftmesh.core.records import record


class Status(IntEnum):
    """Where a task stands. Numbers are written to disk."""

    TODO = 1
    DOING = 2
    BLOCKED = 3
    DONE = 4
    CANCELLED = 5


class Priority(IntEnum):
    """How urgent a task is. Numbers are written to disk."""

    NONE = 0
    LOW = 1
    NORMAL = 2
    HIGH = 3
    URGENT = 4


class MergePolicy(IntEnum):
    """What happens when two writers change the same field of the same version. Numbers are written to disk."""

    ASK = 1
    LATEST = 2
    REJECT = 3


class Verb(IntEnum):
    """What kind of change a history entry is. Numbers are written to disk."""

    CREATE = 1
    UPDATE = 2
    CLAIM = 3
    REVERT = 4
    DELETE = 5
    UNDELETE = 6
    CONFLICT = 7
    RESOLVE = 8


@record(frozen=True, slots=True)
class DueDate:
    """A day: it has no zone and never shifts."""

    iso: str
    """ISO 8601, such as 2026-11-21."""


@record(frozen=True, slots=True)
class DueAt:
    """An instant, and the zone the person meant it in."""

    epoch_ms: int
    zone: str
    """An IANA name."""


FieldValue = str | int | float | frozenset[str] | DueDate | DueAt | None

CUSTOM_PREFIX: Final = "custom."
"""A custom field's path is this and its key; each key merges on its own."""

PLAIN_PATHS: Final = (
    "title",
    "description",
    "status",
    "assignee",
    "priority",
    "labels",
    "estimate",
    "due",
    "parent",
    "depends_on",
)
"""Every path of a task that a writer may set, but for custom.KEY."""

SET_PATHS: Final = frozenset({"labels", "depends_on"})
"""Paths that merge as sets: what one writer adds and another removes both happen."""


class Limits:
    """Bounds of what one board accepts. A write beyond one is refused, never cut."""

    TITLE_CHARACTERS: Final = 500
    DESCRIPTION_BYTES: Final = 64 * 1024
    NAME_CHARACTERS: Final = 200
    """Assignees, labels, custom keys, project titles, origins."""
    CUSTOM_VALUE_CHARACTERS: Final = 4_000
    SET_ITEMS: Final = 64
    CUSTOM_FIELDS: Final = 64
    OPEN_CONFLICTS: Final = 32
    """Per task; a queued write beyond it is refused as a collision."""
    PROJECTS: Final = 10_000
    TASK_NUMBER: Final = 999_999_999
    """The highest number in a key."""
    PARENT_DEPTH: Final = 1_000
    """Ancestors walked to rule out a cycle."""
    DEPENDENCIES_SEARCHED: Final = 10_000
    """Tasks visited to rule out a cycle of dependencies."""
    PATHS_PER_WRITE: Final = 256
    FILTER_CHARACTERS: Final = 2_000
    FILTER_TERMS: Final = 50
    PAGE_ITEMS: Final = 1_000
    REQUESTS_REMEMBERED: Final = 50_000
    """Outcomes kept for retries, and the number of revisions they are kept for."""
    REQUEST_TEXT_CHARACTERS: Final = 16 * 1024 * 1024
    """Text, names of fields too, kept for retries inside remembered collisions; beyond it the oldest outcomes go."""
    WATCH_EVENTS: Final = 16_384
    """Events kept for a watcher that resumes; older ones make it list again."""


@record(frozen=True, slots=True)
class FieldChange:
    """What one change did to one field."""

    path: str
    before: FieldValue
    after: FieldValue
    loser: FieldValue = None
    """A value that somebody wrote and that did not become the field's value."""
    loser_actor: str = ""
    """Who wrote the losing value; empty when there is none."""


@record(frozen=True, slots=True)
class Change:
    """One entry of a task's history. The first entry (CREATE) carries no fields: its values follow from the rest."""

    version: int
    revision: int
    verb: Verb
    actor: str
    stamp: int
    request_id: bytes
    fields: tuple[FieldChange, ...] = ()
    conflict: Conflict | None = None
    """What CONFLICT stored or RESOLVE settled."""


@record(frozen=True, slots=True)
class Collision:
    """The same field, changed by two writers since the same base."""

    path: str
    base: FieldValue
    yours: FieldValue
    """The value of the writer who came second."""
    theirs: FieldValue
    """The value on the board."""
    theirs_actor: str


@record(frozen=True, slots=True)
class Conflict:
    """A write that was queued offline and collided: waits on the task until somebody resolves it."""

    number: int
    """Unique on its task."""
    actor: str
    stamp: int
    fields: tuple[Collision, ...]


@record(frozen=True, slots=True)
class Task:
    """One piece of work. Stamps are hybrid logical clocks (see `core.clock`); 0 means never."""

    id: str
    """A ULID."""
    project_id: str
    number: int
    """The readable key is PROJECT-NUMBER."""
    version: int
    """1 at creation, up by one with every change."""
    revision: int
    """The board revision of the last change."""
    title: str
    description: str = ""
    status: Status = Status.TODO
    assignee: str = ""
    priority: Priority = Priority.NONE
    labels: frozenset[str] = frozenset()
    estimate: float | None = None
    due: DueDate | DueAt | None = None
    parent: str = ""
    """A task id; empty for none."""
    depends_on: frozenset[str] = frozenset()
    """Task ids."""
    custom: Mapping[str, str] | None = None
    """Never mutated after construction; None for none."""
    origin: str = ""
    """Where it was imported from; unique in the project; empty for none."""
    created_stamp: int = 0
    updated_stamp: int = 0
    deleted_stamp: int = 0
    """0 while the task is not deleted."""
    updated_by: str = ""
    history: tuple[Change, ...] = ()
    """Oldest first; always begins with CREATE."""
    conflicts: tuple[Conflict, ...] = ()
    """Open ones."""
    next_conflict_number: int = 1

    @property
    def key(self) -> str:
        """The readable key, such as PROJ-12."""
        return f"{self.project_id}-{self.number}"

    @property
    def created_revision(self) -> int:
        """The board revision at which the task was made."""
        return self.history[0].revision

    def value(self, path: str) -> FieldValue:
        """The value at `path`, one of PLAIN_PATHS or custom.KEY; None for an absent custom field."""
        if path.startswith(CUSTOM_PREFIX):
            return (self.custom or {}).get(path[len(CUSTOM_PREFIX) :])
        result: FieldValue = getattr(self, path)
        return result


@record(frozen=True, slots=True)
class Project:
    """A team's list of tasks, and where it lives."""

    id: str
    title: str
    home: str
    """`mesh`, or `node:NAME`."""
    merge_policy: MergePolicy
    version: int
    revision: int
    created_revision: int
    created_stamp: int
    updated_stamp: int
    deleted_stamp: int = 0
    next_number: int = 1
    """One more than the highest number in use."""
    history: tuple[Change, ...] = ()
    """Oldest first; paths are `title` and `merge_policy`."""
