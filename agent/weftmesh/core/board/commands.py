"""What can be asked of a board. A command carries all that `apply` needs: who, when and what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from weftmesh.core.board.model import FieldValue, MergePolicy
from weftmesh.core.records import record


@record(frozen=True, slots=True)
class Header:
    """What every command carries."""

    actor: str
    """Who writes, such as ann@node1."""
    stamp: int
    """The writer's hybrid logical clock."""
    request_id: bytes = b""
    """16 bytes; empty for none. A retry with the same id gets the first answer."""
    request_digest: int = 0
    """Of the caller's request: the same id with another digest is refused."""


@record(frozen=True, slots=True)
class CreateProject:
    """Make a project."""

    header: Header
    project_id: str
    title: str
    home: str = "mesh"
    merge_policy: MergePolicy = MergePolicy.ASK


@record(frozen=True, slots=True)
class UpdateProject:
    """Change a project's title or merge policy; None leaves a field as it is."""

    header: Header
    project_id: str
    title: str | None = None
    merge_policy: MergePolicy | None = None
    version: int = 0
    """The version the writer saw; 0 for none."""


@record(frozen=True, slots=True)
class DeleteProject:
    """Hide a project and its tasks."""

    header: Header
    project_id: str
    version: int = 0


@record(frozen=True, slots=True)
class UndeleteProject:
    """Bring a project back."""

    header: Header
    project_id: str


@record(frozen=True, slots=True)
class CreateTask:
    """Make a task. `fields` maps paths to values; `title` is required."""

    header: Header
    project_id: str
    task_id: str
    fields: Mapping[str, FieldValue]
    origin: str = ""
    number_hint: int = 0
    """The key's number to take if it is free; 0 for the next one."""


@record(frozen=True, slots=True)
class UpdateTask:
    """Change fields of a task, by three-way merge where `base` or `version` says what the writer saw."""

    header: Header
    task_id: str
    changes: Mapping[str, FieldValue]
    base: Mapping[str, FieldValue] = field(default_factory=dict)
    """The values the writer saw; a path that is absent takes its base from `version`, or was not seen at all."""
    version: int = 0
    """The version the writer saw; 0 for none."""
    queued: bool = False
    """Written without a quorum: a collision is stored, not refused."""


@record(frozen=True, slots=True)
class ClaimTask:
    """Assign a task and set it in progress, if nobody else holds it."""

    header: Header
    task_id: str
    assignee: str


@record(frozen=True, slots=True)
class RevertTask:
    """Set every field back to what it was at an earlier version."""

    header: Header
    task_id: str
    to_version: int
    version: int = 0
    """The version the writer saw; 0 for none."""


@record(frozen=True, slots=True)
class DeleteTask:
    """Hide a task."""

    header: Header
    task_id: str
    version: int = 0


@record(frozen=True, slots=True)
class UndeleteTask:
    """Bring a task back."""

    header: Header
    task_id: str


@record(frozen=True, slots=True)
class ResolveConflict:
    """Settle a stored conflict: `take_yours` names the paths whose waiting value wins."""

    header: Header
    task_id: str
    conflict_number: int
    take_yours: frozenset[str] = frozenset()


Command = (
    CreateProject
    | UpdateProject
    | DeleteProject
    | UndeleteProject
    | CreateTask
    | UpdateTask
    | ClaimTask
    | RevertTask
    | DeleteTask
    | UndeleteTask
    | ResolveConflict
)
