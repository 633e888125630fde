"""Outcomes as answers: what was applied, or the error that says why it was not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol

from weftmesh.board.v1 import board_pb2
from weftmesh.core.board.model import CUSTOM_PREFIX, PLAIN_PATHS, Project, Task
from weftmesh.core.board.outcomes import Outcome, OutcomeKind
from weftmesh.core.errors import (
    AlreadyExistsError,
    InvalidInputError,
    NotFoundError,
    PreconditionError,
    WeftmeshError,
)
from weftmesh.core.ids import project_name, task_name
from weftmesh.runtime.rpc_status import FIELD_KEY, CollisionError
from weftmesh.runtime.wire.resources import collision_messages, etag_of

REQUEST_ID_REUSED: Final = "REQUEST_ID_REUSED"


class Lookup(Protocol):
    """The board, as far as naming an outcome's subject needs it."""

    def find_task(self, ref: str, /) -> Task | None:
        """The task with this id or key."""

    def project(self, project_id: str, /) -> Project | None:
        """The project with this id."""


def applied_message(outcome: Outcome, board: Lookup) -> board_pb2.WriteApplied:
    """Return a successful outcome as an answer of the Write stream."""
    message = board_pb2.WriteApplied()
    fill_applied(message, outcome, board)
    return message


def fill_applied(message: board_pb2.WriteApplied, outcome: Outcome, board: Lookup) -> None:
    """Set an empty `message` to a successful outcome."""
    message.revision = outcome.revision
    message.etag = etag_of(outcome.current_version)
    task = board.find_task(outcome.subject)
    if task is not None:
        message.name = task_name(task.project_id, task.id)
        message.key = task.key
    else:
        message.name = _name(outcome, board)
    if outcome.kind is not OutcomeKind.APPLIED:
        message.unchanged = outcome.kind is OutcomeKind.UNCHANGED
        message.stored_conflict = outcome.kind is OutcomeKind.STORED_CONFLICT


def error_of(outcome: Outcome, board: Lookup, your_version: int = 0) -> WeftmeshError:
    """Return the error that an unsuccessful outcome is for its writer.

    Args:
        outcome: what `apply` answered.
        board: names the subject.
        your_version: the version that the writer saw; 0 for none.
    """
    if outcome.kind is OutcomeKind.COLLISION:
        return CollisionError(outcome.message, _conflict_detail(outcome, board, your_version))
    if outcome.kind is OutcomeKind.INVALID:
        return InvalidInputError(outcome.message, metadata=_field_metadata(outcome.message))
    if outcome.kind is OutcomeKind.REQUEST_REUSED:
        return InvalidInputError(outcome.message, reason=REQUEST_ID_REUSED, metadata={FIELD_KEY: "request_id"})
    return _PLAIN_ERRORS.get(outcome.kind, WeftmeshError)(outcome.message)


_PLAIN_ERRORS: Final[Mapping[OutcomeKind, Callable[[str], WeftmeshError]]] = {
    OutcomeKind.NOT_FOUND: NotFoundError,
    OutcomeKind.ALREADY_EXISTS: AlreadyExistsError,
    OutcomeKind.PRECONDITION: PreconditionError,
}


def _conflict_detail(outcome: Outcome, board: Lookup, your_version: int) -> board_pb2.ConflictDetail:
    return board_pb2.ConflictDetail(
        name=_name(outcome, board),
        your_etag=etag_of(your_version),
        current_etag=etag_of(outcome.current_version),
        fields=collision_messages(outcome.collisions),
        mergeable_paths=outcome.mergeable_paths,
    )


def _field_metadata(message: str) -> dict[str, str]:
    """Return the field that a refusal is about; the board begins such a message with the field's path and a colon."""
    path = message.partition(":")[0]
    if path in PLAIN_PATHS or path.startswith(CUSTOM_PREFIX):
        return {FIELD_KEY: f"task.{path}"}
    return {}


def _name(outcome: Outcome, board: Lookup) -> str:
    """Return the resource name of the outcome's subject; empty when the board has no such thing."""
    task = board.find_task(outcome.subject)
    if task is not None:
        return task_name(task.project_id, task.id)
    return project_name(outcome.subject) if board.project(outcome.subject) is not None else ""
