"""A plan's fields to messages of the API, and the API's tasks to what a plan compares with."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import Final, cast

from weftmesh.board.v1 import board_pb2
from weftmesh.core.board.model import CUSTOM_PREFIX, DueAt, DueDate, FieldValue, Priority, Status
from weftmesh.core.exchange.boardcsv import NAME
from weftmesh.core.exchange.planned import ExistingTask, PlannedCreate, PlannedRestore, PlannedUpdate
from weftmesh.core.exchange.tokens import ImportToken, Mark
from weftmesh.core.exchange.undo import PastChange, PastField
from weftmesh.core.exchange.values import iso_utc

_MS: Final = 1_000
_NS_PER_MS: Final = 1_000_000


def existing_task(task: board_pb2.Task) -> ExistingTask:
    """What a plan has to know of `task`."""
    return ExistingTask(
        name=task.name,
        key=task.key,
        origin=task.origin or f"{NAME}:{task.key}",
        etag=task.etag,
        created=created_text(task),
        deleted=task.HasField("delete_time"),
        fields=fields_of(task),
    )


def created_text(task: board_pb2.Task) -> str:
    """When the board made the task, as its export prints it; empty when the board did not say."""
    return iso_utc(task.create_time.ToDatetime(UTC)) if task.HasField("create_time") else ""


def fields_of(task: board_pb2.Task) -> dict[str, FieldValue]:
    """The fields by path; blank custom fields are left out."""
    fields: dict[str, FieldValue] = {
        "title": task.title,
        "description": task.description,
        "status": Status(task.status or Status.TODO),
        "assignee": task.assignee,
        "priority": Priority(task.priority),
        "labels": frozenset(task.labels),
        "estimate": task.estimate if task.HasField("estimate") else None,
        "due": due_of(task),
        "parent": task.parent,
        "depends_on": frozenset(task.depends_on),
    }
    fields.update((CUSTOM_PREFIX + key, value) for key, value in task.custom.items() if value)
    return fields


def due_of(task: board_pb2.Task) -> DueDate | DueAt | None:
    """When the task is due."""
    match task.due.WhichOneof("kind"):
        case "date":
            return DueDate(task.due.date)
        case "at":
            moment = task.due.at
            return DueAt(moment.time.seconds * _MS + moment.time.nanos // _NS_PER_MS, moment.zone or "UTC")
    return None


def create_request(planned: PlannedCreate, token: ImportToken) -> board_pb2.WriteRequest:
    """The write that makes the task; its `sequence` is left to the caller."""
    request = board_pb2.WriteRequest()
    create = request.create_task
    create.parent = f"projects/{planned.project_id}"
    create.task_id = planned.task_id
    create.number_hint = planned.number_hint
    create.task.origin = planned.origin
    _set_fields(create.task, planned.fields)
    create.request_id = _request_id(request, token, Mark.IMPORT)
    return request


def restore_request(planned: PlannedRestore, token: ImportToken) -> board_pb2.WriteRequest:
    """The write that brings a deleted task back; its `sequence` is left to the caller."""
    request = board_pb2.WriteRequest()
    request.undelete_task.name = planned.name
    request.undelete_task.request_id = _request_id(request, token, Mark.IMPORT)
    return request


def delete_request(name: str, etag: str, token: ImportToken) -> board_pb2.WriteRequest:
    """The write of an undo that takes a task away, if it still is at that version."""
    request = board_pb2.WriteRequest()
    request.delete_task.name = name
    request.delete_task.etag = etag
    request.delete_task.request_id = _request_id(request, token, Mark.UNDO)
    return request


def update_request(planned: PlannedUpdate, token: ImportToken, mark: Mark = Mark.IMPORT) -> board_pb2.WriteRequest:
    """The write that changes the task; its `sequence` is left to the caller."""
    request = board_pb2.WriteRequest()
    update = request.update_task
    update.task.name = planned.name
    update.task.etag = planned.etag
    _set_fields(update.task, planned.changes)
    update.update_mask.paths.extend(sorted(planned.changes))
    if planned.base is not None:
        update.base.name = planned.name
        _set_fields(update.base, planned.base)
    update.request_id = _request_id(request, token, mark)
    return request


def past_change(change: board_pb2.Change) -> PastChange:
    """What an undo has to know of one entry of a history."""
    fields = tuple(PastField(one.path, one.before, one.after) for one in change.fields)
    time = iso_utc(change.time.ToDatetime(UTC))
    return PastChange(change.revision, change.verb, change.actor, time, change.request_id, fields)


def _request_id(request: board_pb2.WriteRequest, token: ImportToken, mark: Mark) -> str:
    """Follows from the whole write, which holds origin or name, the values, and the version it changes."""
    return token.request_id(mark, request.SerializeToString(deterministic=True))


def _set_fields(task: board_pb2.Task, fields: Mapping[str, FieldValue]) -> None:
    """Sets what is not blank; a blank field of an update is cleared by its mask alone."""
    for path, value in fields.items():
        if path.startswith(CUSTOM_PREFIX):
            if value is not None:
                task.custom[path[len(CUSTOM_PREFIX) :]] = cast("str", value)
        elif isinstance(value, frozenset):
            getattr(task, path).extend(sorted(value))
        elif isinstance(value, DueDate):
            task.due.date = value.iso
        elif isinstance(value, DueAt):
            task.due.at.time.FromMilliseconds(value.epoch_ms)
            task.due.at.zone = value.zone
        elif value is not None:
            setattr(task, path, value)
