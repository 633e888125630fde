"""A board at one revision, as plain values: what a snapshot stores and a new replica starts from."""

from __future__ import annotations

from weftmesh.core.board.model import Project, Task
from weftmesh.core.board.outcomes import Outcome
from weftmesh.core.records import record


@record(frozen=True, slots=True)
class RememberedRequest:
    """The first answer to a request id."""

    request_id: bytes
    """16 bytes."""
    digest: int
    outcome: Outcome
    order: int
    """The board revision when it was answered."""


@record(frozen=True, slots=True)
class EventRef:
    """One event of the watch log by reference: the change that made `version` of a task, or of a project."""

    revision: int
    project_id: str
    task_id: str
    """Empty for an event of the project itself."""
    version: int


@record(frozen=True, slots=True)
class BoardState:
    """Everything a board knows. Who decodes one shares repeated small values by `compact`, or it needs more memory."""

    revision: int
    commands_applied: int
    state_hash: bytes
    """16 bytes, the sum of the row hashes."""
    watch_floor: int
    """Events up to this revision are no longer kept."""
    stamp: int
    """The latest stamp of any change."""
    projects: tuple[Project, ...]
    """In order of creation."""
    tasks: tuple[Task, ...]
    """In order of creation."""
    requests: tuple[RememberedRequest, ...]
    """The oldest answer first."""
    events: tuple[EventRef, ...]
    """One for each revision after the watch floor."""
