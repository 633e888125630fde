"""One task as a row of a snapshot. Restoring 100,000 of them bounds how fast a node starts: keep it quick."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from weftmesh.board.v1 import command_pb2
from weftmesh.core.board.compact import packed, shared_set, shared_text
from weftmesh.core.board.model import (
    CUSTOM_PREFIX,
    PLAIN_PATHS,
    SET_PATHS,
    DueAt,
    DueDate,
    FieldValue,
    Priority,
    Status,
    Task,
)
from weftmesh.runtime.wire.history_rows import decode_change, decode_conflict, encode_change, encode_conflict
from weftmesh.runtime.wire.values import decode_value, encode_value

_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "title": (str,),
    "description": (str,),
    "status": (Status,),
    "assignee": (str,),
    "priority": (Priority,),
    "labels": (frozenset,),
    "estimate": (float, int),
    "due": (DueDate, DueAt),
    "parent": (str,),
    "depends_on": (frozenset,),
}
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
    for entry in row.fields:
        path = entry.path
        value = decode_value(path, entry.value)
        if path.startswith(CUSTOM_PREFIX):
            if not isinstance(value, str):
                raise ValueError(f"field {path!r} of task {row.task_id} is not a text")
            custom[path[len(CUSTOM_PREFIX) :]] = value
        elif isinstance(value, _TYPES.get(path, ())):
            plain[path] = value
        else:
            raise ValueError(f"field {path!r} of task {row.task_id} is unknown or holds what it cannot")
    for path in SET_PATHS & plain.keys():
        plain[path] = shared_set(plain[path])
    if "assignee" in plain:
        plain["assignee"] = shared_text(plain["assignee"])
    return plain, custom
