"""The state hash: the sum modulo 2^128 of a 128-bit BLAKE2b of every row, so that a change costs two rows, not all.

A set hash by addition (Bellare and Micciancio, "A new paradigm for collision-free hashing", Eurocrypt 1997); here it
finds replicas that went apart, it does not withstand an attacker who picks rows. Rows are projects, tasks, entries of
their histories, and remembered requests. Messages for people are left out: they may be reworded between releases.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Final

from weftmesh.core.board.model import (
    Change,
    Collision,
    Conflict,
    DueAt,
    DueDate,
    FieldChange,
    FieldValue,
    Project,
    Task,
)
from weftmesh.core.board.state import RememberedRequest

HASH_BYTES: Final = 16
HASH_MASK: Final = (1 << 8 * HASH_BYTES) - 1

_EMPTY_DIGEST: Final = blake2b(digest_size=HASH_BYTES)
"""Copied for each row: 0.4 us quicker than to configure a new one."""
_NONE: Final = "n"
_NO_ITEMS: Final = "e0:"


def task_hash(task: Task) -> int:
    """Of a task without its history."""
    conflicts = [conflict.number for conflict in task.conflicts] if task.conflicts else ""
    return _digest(
        f"task {task.id} {task.project_id} {task.number} {task.version} {task.revision} {int(task.status)} "
        f"{int(task.priority)} {task.created_stamp} {task.updated_stamp} {task.deleted_stamp} "
        f"{conflicts} {task.next_conflict_number} {task.parent} "
        f"{len(task.title)}:{task.title}{len(task.description)}:{task.description}"
        f"{len(task.assignee)}:{task.assignee}{len(task.origin)}:{task.origin}{len(task.updated_by)}:{task.updated_by}"
        # What most tasks do not have is written without a call: a third of the time of a row.
        f"{encoded(task.labels) if task.labels else _NO_ITEMS}"
        f"{encoded(task.depends_on) if task.depends_on else _NO_ITEMS}"
        f"{_NONE if task.estimate is None else encoded(task.estimate)}"
        f"{_NONE if task.due is None else encoded(task.due)}"
        f"{_encoded_custom(task.custom) if task.custom else ''}"
    )


def change_hash(owner_id: str, change: Change) -> int:
    """Of one history entry of the task or project `owner_id`."""
    fields = "".join([_encoded_field(one) for one in change.fields]) if change.fields else ""
    waiting = "" if change.conflict is None else _encoded_conflict(change.conflict)
    actor = change.actor
    return _digest(
        f"change {owner_id} {change.version} {change.revision} {int(change.verb)} {change.stamp} "
        f"{change.request_id.hex()} s{len(actor)}:{actor}{fields}|{waiting}"
    )


def project_hash(project: Project) -> int:
    """Of a project without its history; the next number follows from its tasks."""
    return _digest(
        f"project {project.id} {encoded(project.title)}{encoded(project.home)}{int(project.merge_policy)} "
        f"{project.version} {project.revision} {project.created_revision} {project.created_stamp} "
        f"{project.updated_stamp} {project.deleted_stamp}"
    )


def request_hash(entry: RememberedRequest) -> int:
    """Of one remembered request, without its message."""
    outcome = entry.outcome
    subject = outcome.subject
    return _digest(
        f"request {entry.request_id.hex()} {entry.digest} {entry.order} {int(outcome.kind)} {outcome.revision} "
        f"s{len(subject)}:{subject}{outcome.current_version}"
    )


def encoded(value: FieldValue) -> str:
    """A text that no other value has, and that no order of insertion changes."""
    if value is None:
        return _NONE
    if isinstance(value, str):
        return f"s{len(value)}:{value}"
    if isinstance(value, frozenset):
        return f"e{len(value)}:{''.join([f'{len(item)}:{item}' for item in sorted(value)])}"
    if isinstance(value, int):
        return f"i{int(value)};"
    if isinstance(value, float):
        return f"f{value.hex()};"
    return _encoded_due(value)


def _encoded_custom(custom: Mapping[str, str]) -> str:
    return "".join([f"{len(key)}:{key}{len(value)}:{value}" for key, value in sorted(custom.items())])


def _encoded_due(due: DueDate | DueAt) -> str:
    return f"d{due.iso};" if isinstance(due, DueDate) else f"a{due.epoch_ms} {len(due.zone)}:{due.zone}"


def _encoded_field(one: FieldChange) -> str:
    path, actor = one.path, one.loser_actor
    loser = _NONE if one.loser is None else encoded(one.loser)
    return f"s{len(path)}:{path}{encoded(one.before)}{encoded(one.after)}{loser}s{len(actor)}:{actor}"


def _encoded_conflict(conflict: Conflict) -> str:
    collisions = [_encoded_collision(one) for one in conflict.fields]
    return f"{conflict.number} {conflict.stamp} {encoded(conflict.actor)}{''.join(collisions)}"


def _encoded_collision(one: Collision) -> str:
    values = f"{encoded(one.base)}{encoded(one.yours)}{encoded(one.theirs)}"
    return f"{encoded(one.path)}{values}{encoded(one.theirs_actor)}"


def _digest(text: str) -> int:
    digest = _EMPTY_DIGEST.copy()
    digest.update(text.encode())
    return int.from_bytes(digest.digest(), "big")
