"""What a task was: its history is kept in full, so every past version is the present one with changes undone."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from typing import Any, Final

from weftmesh.core.board.compact import packed
from weftmesh.core.board.evolve import evolved
from weftmesh.core.board.model import (
    CUSTOM_PREFIX,
    Change,
    Conflict,
    FieldValue,
    MergePolicy,
    Priority,
    Project,
    Status,
    Task,
    Verb,
)

_ENUMS: Final[Mapping[str, type[Status] | type[Priority]]] = {"status": Status, "priority": Priority}


def with_values(task: Task, values: Mapping[str, FieldValue], **others: Any) -> Task:
    """`task` with other values at some paths (None removes a custom field) and other attributes as given."""
    custom: dict[str, str] | None = None
    for path, value in values.items():
        if not path.startswith(CUSTOM_PREFIX):
            others[path] = _as_declared(path, value)
            continue
        custom = dict(task.custom or {}) if custom is None else custom
        if isinstance(value, str):
            custom[path[len(CUSTOM_PREFIX) :]] = value
        else:
            custom.pop(path[len(CUSTOM_PREFIX) :], None)
    if custom is not None:
        others["custom"] = packed(custom)
    return evolved(task, **others)


def _as_declared(path: str, value: FieldValue) -> FieldValue:
    """Histories that were stored hold plain numbers."""
    kind = _ENUMS.get(path)
    return value if kind is None or type(value) is kind or not isinstance(value, int) else kind(value)


def at_version(task: Task, version: int) -> Task:
    """`task` as it was at `version`, 1 to the present one."""
    if version == task.version:
        return task
    values: dict[str, FieldValue] = {}
    conflicts = list(task.conflicts)
    next_conflict_number, deleted_stamp = task.next_conflict_number, task.deleted_stamp
    for change in reversed(task.history[version:]):
        for one in change.fields:
            values[one.path] = one.before
        if change.verb is Verb.CONFLICT and change.conflict is not None:
            next_conflict_number = change.conflict.number
            conflicts = [conflict for conflict in conflicts if conflict.number != next_conflict_number]
        elif change.verb is Verb.RESOLVE and change.conflict is not None:
            conflicts = _by_number([*conflicts, change.conflict])
        elif change.verb is Verb.DELETE:
            deleted_stamp = 0
        elif change.verb is Verb.UNDELETE:
            deleted_stamp = _deletion_before(task.history, change.version)
    last = task.history[version - 1]
    return with_values(
        task,
        values,
        version=version,
        revision=last.revision,
        updated_stamp=last.stamp,
        updated_by=last.actor,
        deleted_stamp=deleted_stamp,
        history=task.history[:version],
        conflicts=tuple(conflicts),
        next_conflict_number=next_conflict_number,
    )


def _by_number(conflicts: list[Conflict]) -> list[Conflict]:
    return sorted(conflicts, key=lambda conflict: conflict.number)


def _deletion_before(history: tuple[Change, ...], version: int) -> int:
    return next(change.stamp for change in reversed(history[: version - 1]) if change.verb is Verb.DELETE)


def version_at(history: tuple[Change, ...], revision: int) -> int:
    """The version that was current at the board's `revision`; 0 before the first."""
    return bisect_right(history, revision, key=lambda change: change.revision)


def at_revision(task: Task, revision: int) -> Task | None:
    """`task` as it was at the board's `revision`; None if it was made later."""
    if task.revision <= revision:
        return task
    version = version_at(task.history, revision)
    return at_version(task, version) if version else None


def value_at(task: Task, path: str, version: int) -> FieldValue:
    """The value at `path` as it was at `version`."""
    for change in task.history[version:]:
        for one in change.fields:
            if one.path == path:
                return one.before
    return task.value(path)


def last_write(task: Task, path: str) -> Change:
    """The change that gave `path` its present value."""
    for change in reversed(task.history):
        for one in change.fields:
            if one.path == path and one.before != one.after:
                return change
    return task.history[0]


def project_at_version(project: Project, version: int) -> Project:
    """`project` as it was at `version`; `next_number` is the present one."""
    title, policy, deleted_stamp = project.title, project.merge_policy, project.deleted_stamp
    for change in reversed(project.history[version:]):
        for one in change.fields:
            if one.path == "title":
                title = str(one.before)
            elif isinstance(one.before, int):
                policy = MergePolicy(one.before)
        if change.verb is Verb.DELETE:
            deleted_stamp = 0
        elif change.verb is Verb.UNDELETE:
            deleted_stamp = _deletion_before(project.history, change.version)
    last = project.history[version - 1]
    return evolved(
        project,
        title=title,
        merge_policy=policy,
        deleted_stamp=deleted_stamp,
        version=version,
        revision=last.revision,
        updated_stamp=last.stamp,
        history=project.history[:version],
    )


def project_at_revision(project: Project, revision: int) -> Project | None:
    """`project` as it was at the board's `revision`; None if it was made later."""
    if project.revision <= revision:
        return project
    version = version_at(project.history, revision)
    return project_at_version(project, version) if version else None
