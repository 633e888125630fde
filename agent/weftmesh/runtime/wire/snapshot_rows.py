"""A board at one revision as rows of a snapshot file, and back: header, projects, tasks, requests, events."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from google.protobuf.message import DecodeError

from weftmesh.board.v1 import command_pb2
from weftmesh.board.v1.command_pb2 import BoardRow
from weftmesh.core.board.compact import shared_text
from weftmesh.core.board.model import MergePolicy, Project
from weftmesh.core.board.outcomes import Outcome, OutcomeKind
from weftmesh.core.board.state import BoardState, EventRef, RememberedRequest
from weftmesh.core.errors import DataCorruptionError, InvalidInputError
from weftmesh.runtime.wire.history_rows import (
    decode_change,
    decode_collision,
    encode_change,
    encode_collision,
)
from weftmesh.runtime.wire.task_rows import decode_task, encode_task

STATE_HASH_BYTES: Final = 16


def rows_of(state: BoardState) -> Iterator[bytes]:
    """Yield each row of `state`, serialized; equal states make equal rows."""
    row = BoardRow()
    _encode_header(state, row.header)
    yield row.SerializeToString(deterministic=True)
    for project in state.projects:
        row = BoardRow()
        encode_project(project, row.project)
        yield row.SerializeToString(deterministic=True)
    for task in state.tasks:
        row = BoardRow()
        encode_task(task, row.task)
        yield row.SerializeToString(deterministic=True)
    for request in state.requests:
        row = BoardRow()
        encode_request(request, row.request)
        yield row.SerializeToString(deterministic=True)
    for event in state.events:
        row = BoardRow()
        encode_event(event, row.event)
        yield row.SerializeToString(deterministic=True)


def state_from_rows(rows: Iterable[bytes]) -> BoardState:
    """Return the state that `rows_of` wrote. The garbage collector rests meanwhile.

    Raises:
        DataCorruptionError: a row is not one, or the header is not the first and only one.
    """
    found: dict[str, list[Any]] = {kind: [] for kind in _DECODERS}
    with _no_collection():
        for number, data in enumerate(rows, start=1):
            try:
                kind, value = _decode_row(data, first=number == 1)
            except (DecodeError, InvalidInputError, ValueError) as error:
                raise DataCorruptionError(
                    f"row {number} of the board's snapshot cannot be read ({error}); restore the node from its peers"
                ) from error
            found[kind].append(value)
    if not found["header"]:
        raise DataCorruptionError("the board's snapshot is empty; restore the node from its peers")
    (header,) = found["header"]
    return BoardState(
        revision=header.revision,
        commands_applied=header.commands_applied,
        state_hash=header.state_hash,
        watch_floor=header.watch_floor_revision,
        stamp=header.stamp,
        projects=tuple(found["project"]),
        tasks=tuple(found["task"]),
        requests=tuple(found["request"]),
        events=tuple(found["event"]),
    )


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep the garbage collector from walking all tasks again and again while nothing becomes garbage."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _decode_row(data: bytes, *, first: bool) -> tuple[str, Any]:
    row = BoardRow.FromString(data)
    kind = row.WhichOneof("kind")
    if kind is None:
        raise ValueError("it is of no kind this version knows")
    if (kind == "header") is not first:
        raise ValueError(f"it is a {kind} row; the header comes first, once")
    return kind, _DECODERS[kind](getattr(row, kind))


def _encode_header(state: BoardState, row: command_pb2.BoardHeaderRow) -> None:
    row.revision = state.revision
    row.commands_applied = state.commands_applied
    row.state_hash = state.state_hash
    row.watch_floor_revision = state.watch_floor
    row.stamp = state.stamp


def _checked_header(row: command_pb2.BoardHeaderRow) -> command_pb2.BoardHeaderRow:
    if len(row.state_hash) != STATE_HASH_BYTES:
        raise ValueError(f"a state hash has {STATE_HASH_BYTES} bytes, not {len(row.state_hash)}")
    return row


def encode_project(project: Project, row: command_pb2.ProjectRow) -> None:
    """Fill an empty `row` with `project`."""
    row.project_id = project.id
    row.title = project.title
    row.home = project.home
    row.merge_policy = project.merge_policy
    row.version = project.version
    row.revision = project.revision
    row.created_revision = project.created_revision
    row.created_stamp = project.created_stamp
    row.updated_stamp = project.updated_stamp
    row.deleted_stamp = project.deleted_stamp
    row.next_number = project.next_number
    for change in project.history:
        encode_change(change, row.history.add())


def decode_project(row: command_pb2.ProjectRow) -> Project:
    """Return the project in `row`; ValueError or InvalidInputError when it is not one."""
    return Project(
        id=shared_text(row.project_id),
        title=row.title,
        home=shared_text(row.home),
        merge_policy=MergePolicy(row.merge_policy),
        version=row.version,
        revision=row.revision,
        created_revision=row.created_revision,
        created_stamp=row.created_stamp,
        updated_stamp=row.updated_stamp,
        deleted_stamp=row.deleted_stamp,
        next_number=row.next_number,
        history=tuple([decode_change(change) for change in row.history]),
    )


def encode_request(request: RememberedRequest, row: command_pb2.RequestRow) -> None:
    """Fill an empty `row` with a remembered request."""
    row.request_id = request.request_id
    row.digest = request.digest
    row.order = request.order
    outcome = request.outcome
    row.outcome.kind = outcome.kind
    row.outcome.revision = outcome.revision
    row.outcome.subject = outcome.subject
    row.outcome.message = outcome.message
    for collision in outcome.collisions:
        encode_collision(collision, row.outcome.collisions.add())
    row.outcome.mergeable_paths.extend(outcome.mergeable_paths)
    row.outcome.current_version = outcome.current_version


def decode_request(row: command_pb2.RequestRow) -> RememberedRequest:
    """Return the remembered request in `row`; ValueError or InvalidInputError when it is not one."""
    outcome = Outcome(
        kind=OutcomeKind(row.outcome.kind),
        revision=row.outcome.revision,
        subject=row.outcome.subject,
        message=row.outcome.message,
        collisions=tuple([decode_collision(collision) for collision in row.outcome.collisions]),
        mergeable_paths=tuple(row.outcome.mergeable_paths),
        current_version=row.outcome.current_version,
    )
    return RememberedRequest(row.request_id, row.digest, outcome, row.order)


def encode_event(event: EventRef, row: command_pb2.EventRow) -> None:
    """Fill an empty `row` with a reference to an event."""
    row.revision = event.revision
    row.project_id = event.project_id
    row.task_id = event.task_id
    row.task_version = event.version


def decode_event(row: command_pb2.EventRow) -> EventRef:
    """Return the reference in `row`."""
    return EventRef(row.revision, shared_text(row.project_id), row.task_id, row.task_version)


_DECODERS: Final[dict[str, Callable[[Any], Any]]] = {
    "header": _checked_header,
    "project": decode_project,
    "task": decode_task,
    "request": decode_request,
    "event": decode_event,
}
