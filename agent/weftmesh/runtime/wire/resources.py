"""Core values as the API shows them: resource names, etags, timestamps, and field values as text."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Final, cast

from google.protobuf.timestamp_pb2 import Timestamp

from weftmesh.board.v1 import board_pb2
from weftmesh.core.board.model import (
    Change,
    Collision,
    Conflict,
    DueAt,
    DueDate,
    FieldValue,
    Priority,
    Project,
    Status,
    Task,
)
from weftmesh.core.clock import stamp_to_ms
from weftmesh.core.errors import InvalidInputError
from weftmesh.core.ids import conflict_name, project_name, task_name

TIMESTAMP_SECONDS_MAX: Final = 253_402_300_799
"""The last second of the year 9999, where google.protobuf.Timestamp ends."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ETAG: Final = re.compile(r'"?v([0-9]{1,18})"?')
_ENUM_PATHS: Final[dict[str, type[Status] | type[Priority]]] = {"status": Status, "priority": Priority}


def etag_of(version: int) -> str:
    """Return the etag of a version; empty for 0, which is no version."""
    return f"v{version}" if version else ""


def parse_etag(etag: str) -> int:
    """Return the version in an etag; 0 when it is empty.

    Raises:
        InvalidInputError: it is not an etag that this board gave out.
    """
    if not etag:
        return 0
    match = _ETAG.fullmatch(etag)
    if match is None:
        raise InvalidInputError(
            f"etag {etag[:80]!r} is not one of this board's; read again and send the etag as it came",
            metadata={"field": "etag"},
        )
    return int(match[1])


def project_message(project: Project, task_count: int) -> board_pb2.Project:
    """Return `project` as the API shows it."""
    message = board_pb2.Project(
        name=project_name(project.id),
        title=project.title,
        home=project.home,
        etag=etag_of(project.version),
        task_count=task_count,
        revision=project.revision,
    )
    message.merge_policy = cast("board_pb2.MergePolicy", project.merge_policy)
    set_stamp(message.create_time, project.created_stamp)
    set_stamp(message.update_time, project.updated_stamp)
    if project.deleted_stamp:
        set_stamp(message.delete_time, project.deleted_stamp)
    return message


def task_message(task: Task, project_of: Callable[[str], str] | None = None) -> board_pb2.Task:
    """Return `task` as the API shows it.

    Args:
        task: the task.
        project_of: the project id of another task, for the names of its parent and of what it depends on; without it
            they are named as if they were of the same project, which every method that takes a task's id accepts.
    """
    message = board_pb2.Task()
    fill_task(message, task, project_of)
    return message


def fill_task(message: board_pb2.Task, task: Task, project_of: Callable[[str], str] | None = None) -> None:
    """Set an empty `message` to `task`; see `task_message`. What most tasks do not have is passed over."""
    message.name = task_name(task.project_id, task.id)
    message.key = task.key
    message.etag = etag_of(task.version)
    message.version = task.version
    message.revision = task.revision
    message.title = task.title
    message.description = task.description
    message.status = cast("board_pb2.TaskStatus", task.status)
    message.priority = cast("board_pb2.TaskPriority", task.priority)
    message.assignee = task.assignee
    message.origin = task.origin
    message.updated_by = task.updated_by
    if task.labels:
        message.labels.extend(sorted(task.labels))
    if task.estimate is not None:
        message.estimate = task.estimate
    if task.custom:
        message.custom.update(task.custom)
    if task.due is not None:
        set_due(message.due, task.due)
    if task.conflicts:
        message.open_conflicts = len(task.conflicts)
    if task.parent or task.depends_on:
        name_of = _names_in(task.project_id) if project_of is None else _names_by(project_of)
        message.parent = name_of(task.parent) if task.parent else ""
        message.depends_on.extend([name_of(other) for other in sorted(task.depends_on)])
    set_stamp(message.create_time, task.created_stamp)
    set_stamp(message.update_time, task.updated_stamp)
    if task.deleted_stamp:
        set_stamp(message.delete_time, task.deleted_stamp)


def change_message(change: Change) -> board_pb2.Change:
    """Return one history entry as the API shows it."""
    message = board_pb2.Change(
        version=change.version,
        revision=change.revision,
        verb=change.verb.name.lower(),
        actor=change.actor,
        request_id=request_id_text(change.request_id),
    )
    set_stamp(message.time, change.stamp)
    for field in change.fields:
        message.fields.add(
            path=field.path,
            before=value_text(field.path, field.before),
            after=value_text(field.path, field.after),
            loser=value_text(field.path, field.loser),
            loser_actor=field.loser_actor,
            has_loser=bool(field.loser_actor),
        )
    return message


def conflict_message(task: Task, conflict: Conflict) -> board_pb2.Conflict:
    """Return a stored conflict of `task` as the API shows it."""
    message = board_pb2.Conflict(
        name=conflict_name(task.project_id, task.id, conflict.number),
        task=task_name(task.project_id, task.id),
        task_key=task.key,
        fields=collision_messages(conflict.fields),
        actor=conflict.actor,
    )
    set_stamp(message.time, conflict.stamp)
    return message


def collision_messages(collisions: Iterable[Collision]) -> list[board_pb2.FieldCollision]:
    """Return collisions as the API shows them."""
    return [
        board_pb2.FieldCollision(
            path=one.path,
            base=value_text(one.path, one.base),
            yours=value_text(one.path, one.yours),
            theirs=value_text(one.path, one.theirs),
            theirs_actor=one.theirs_actor,
        )
        for one in collisions
    ]


def value_text(path: str, value: FieldValue) -> str:
    """Return a field's value for people: words for enums, sorted JSON for sets, RFC 9557 for instants, "" for None."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, frozenset):
        return json.dumps(sorted(value), ensure_ascii=False)
    if isinstance(value, DueDate):
        return value.iso
    if isinstance(value, DueAt):
        return _instant_text(value)
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    kind = _ENUM_PATHS.get(path)
    return kind(value).name.lower() if kind is not None and value in list(kind) else str(value)


def set_due(message: board_pb2.Due, due: DueDate | DueAt) -> None:
    """Fill an empty `message` with `due`."""
    if isinstance(due, DueDate):
        message.date = due.iso
    else:
        set_ms(message.at.time, due.epoch_ms)
        message.at.zone = due.zone


def set_stamp(message: Timestamp, stamp: int) -> None:
    """Set `message` to the wall time of a stamp."""
    set_ms(message, stamp_to_ms(stamp))


def set_ms(message: Timestamp, epoch_ms: int) -> None:
    """Set `message` to `epoch_ms`; quicker than FromMilliseconds, and bounded where that one raises."""
    seconds, ms = divmod(epoch_ms, 1_000)
    message.seconds = seconds if seconds < TIMESTAMP_SECONDS_MAX else TIMESTAMP_SECONDS_MAX
    message.nanos = ms * 1_000_000


def set_us(message: Timestamp, epoch_us: int) -> None:
    """Set `message` to `epoch_us`, of this node's or another's clock; quicker than FromMicroseconds."""
    message.seconds, us = divmod(epoch_us, 1_000_000)
    message.nanos = us * 1_000


def request_id_text(request_id: bytes) -> str:
    """Return a request id as the UUID it came as; empty for none."""
    if len(request_id) != 16:
        return ""
    digits = request_id.hex()  # a sixth of the time of uuid.UUID
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _instant_text(due: DueAt) -> str:
    try:
        time = _EPOCH + timedelta(milliseconds=due.epoch_ms)
    except OverflowError:
        return f"{due.epoch_ms} ms[{due.zone}]"
    precision = "milliseconds" if due.epoch_ms % 1_000 else "seconds"
    return f"{time.replace(tzinfo=None).isoformat(timespec=precision)}Z[{due.zone}]"


def _names_in(project_id: str) -> Callable[[str], str]:
    return lambda task_id: task_name(project_id, task_id)


def _names_by(project_of: Callable[[str], str]) -> Callable[[str], str]:
    return lambda task_id: task_name(project_of(task_id), task_id)
