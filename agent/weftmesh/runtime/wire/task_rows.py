"""One task as a row of a snapshot. Restoring 100,000 of them bounds how fast a node starts: keep it quick."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from weftmesh.board.v1 import command_pb2
from weftmesh.core.board.compact import packed, shared_set, shared_text
from weftmesh.core.board.model import (
    CUSTOM_PREFIX,
    PLAIN_PATHS,
    DueAt,
    DueDate,
    FieldValue,
    Priority,
    Status,
    Task,
)
from weftmesh.runtime.wire.history_rows import decode_change, decode_conflict, encode_change, encode_conflict
from weftmesh.runtime.wire.values import decode_value, encode_value

_EMPTY: Final[tuple[FieldValue, ...]] = ("", None, frozenset(), Priority.NONE)
"""Values that a task has when its row says nothing."""


def encode_task(task: Task, row: command_pb2.TaskRow) -> None:
    """Fill an empty `row` with `task`."""
    row.task_id = task.id
    row.project_id = task.project_id
    row.number = task.number
    row.version = task.version
    row.revision = task.revision
    for path in PLAIN_PATHS:
        value: FieldValue = getattr(task, path)
        if value not in _EMPTY or isinstance(value, float):
            _add_field(row, path, value)
    for key, text in sorted((task.custom or {}).items()):
        _add_field(row, CUSTOM_PREFIX + key, text)
    row.origin = task.origin
    row.created_stamp = task.created_stamp
    row.updated_stamp = task.updated_stamp
    row.deleted_stamp = task.deleted_stamp
    row.updated_by = task.updated_by
    for change in task.history:
        encode_change(change, row.history.add())
    for conflict in task.conflicts:
        encode_conflict(conflict, row.conflicts.add())
    row.next_conflict_number = task.next_conflict_number


def _add_field(row: command_pb2.TaskRow, path: str, value: FieldValue) -> None:
    entry = row.fields.add()
    entry.path = path
    encode_value(value, entry.value)


def decode_task(row: command_pb2.TaskRow) -> Task:
    """Return the task in `row`, sharing what it can with others; ValueError or InvalidInputError when it is not one."""
    plain, custom = _decode_fields(row)
    if "title" not in plain or "status" not in plain:
        raise ValueError(f"task {row.task_id} has no title or no status")
    history = tuple([decode_change(change) for change in row.history])
    if not history:
        raise ValueError(f"task {row.task_id} has no history")
    return Task(
        id=row.task_id,
        project_id=shared_text(row.project_id),
        number=row.number,
        version=row.version,
        revision=row.revision,
        custom=packed(custom),
        origin=row.origin,
        created_stamp=row.created_stamp,
        updated_stamp=row.updated_stamp,
        deleted_stamp=row.deleted_stamp,
        updated_by=shared_text(row.updated_by),
        history=history,
        conflicts=tuple([decode_conflict(conflict) for conflict in row.conflicts]),
        next_conflict_number=row.next_conflict_number,
        **plain,
    )


def _decode_fields(row: command_pb2.TaskRow) -> tuple[dict[str, Any], dict[str, str]]:
    plain: dict[str, Any] = {}
    custom: dict[str, str] = {}
    path = ""
    try:
        for entry in row.fields:
            path = entry.path
            read = _READERS.get(path)
            if read is not None:
                plain[path] = read(entry.value)
            else:
                custom[_custom_key(path)] = _text(entry.value)
    except ValueError as error:
        raise ValueError(f"field {path!r} of task {row.task_id} {error}") from None
    return plain, custom


# Each path has one type, so that its value is read at once, and asked for its kind only when it looks empty.


def _custom_key(path: str) -> str:
    if not path.startswith(CUSTOM_PREFIX):
        raise ValueError("is unknown")
    return path[len(CUSTOM_PREFIX) :]


def _text(value: command_pb2.FieldValue) -> str:
    text = value.text
    if not text and not value.HasField("text"):
        raise ValueError("is not a text")
    return text


def _status(value: command_pb2.FieldValue) -> Status:
    status = _STATUSES.get(value.number)
    if status is None:
        raise ValueError(f"is {value.number}, which is no status")
    return status


def _priority(value: command_pb2.FieldValue) -> Priority:
    priority = _PRIORITIES.get(value.number)
    if priority is None or not value.HasField("number"):
        raise ValueError(f"is {value.number}, which is no priority")
    return priority


def _set(value: command_pb2.FieldValue) -> frozenset[str]:
    if not value.HasField("set"):
        raise ValueError("is not a set")
    return shared_set(frozenset(value.set.items))


def _estimate(value: command_pb2.FieldValue) -> float:
    if not value.HasField("real"):
        raise ValueError("is not a number")
    return value.real


def _due(value: command_pb2.FieldValue) -> DueDate | DueAt:
    due = decode_value("due", value)
    if not isinstance(due, DueDate | DueAt):
        raise ValueError("is neither a day nor an instant")  # noqa: TRY004, what was read is wrong, not a caller
    return due


_STATUSES: Final = {int(status): status for status in Status}
_PRIORITIES: Final = {int(priority): priority for priority in Priority}
_READERS: Final[Mapping[str, Callable[[command_pb2.FieldValue], FieldValue]]] = {
    "title": _text,
    "description": _text,
    "status": _status,
    "assignee": lambda value: shared_text(_text(value)),
    "priority": _priority,
    "labels": _set,
    "estimate": _estimate,
    "due": _due,
    "parent": _text,
    "depends_on": _set,
}
