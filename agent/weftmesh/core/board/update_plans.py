"""What a write to a task's fields comes to when others wrote meanwhile, and how a stored conflict is settled."""

from __future__ import annotations

from dataclasses import replace

from weftmesh.core.board.commands import ResolveConflict, UpdateTask
from weftmesh.core.board.history import last_write, value_at
from weftmesh.core.board.merge import Merged, later_wins, lost, merge_fields
from weftmesh.core.board.model import (
    Collision,
    Conflict,
    FieldChange,
    FieldValue,
    Limits,
    MergePolicy,
    Task,
    Verb,
)
from weftmesh.core.board.outcomes import OutcomeKind
from weftmesh.core.board.plans import Plan, Refusal, Unchanged, invalid, quoted
from weftmesh.core.board.store import Store
from weftmesh.core.board.task_plans import check_seen, writable_task, write_values
from weftmesh.core.board.validate import check_version, field_value, field_values


def plan_update_task(store: Store, command: UpdateTask) -> Plan:
    """The fields that merge, and what the project's policy makes of those that collide."""
    task = writable_task(store, command.task_id)
    if not command.changes:
        raise invalid(f"{task.key}: the write names no field; name at least one")
    check_version(command.version, task.version, task.key)
    yours = field_values(command.changes)
    if command.version > task.version:
        # A version that is not reached here was seen on a board that lost it; nothing is known of what it held.
        check_seen(task, command.version)
    base = _base(task, command, yours)
    merged = merge_fields(task, yours, base)
    if not merged.changes and not merged.collisions:
        return Unchanged(task.id, task.version)
    policy = store.projects[task.project_id].merge_policy
    if policy is MergePolicy.REJECT and _is_stale(task, command.version, base):
        raise _collision(task, command, merged, "its project refuses writes to what others changed meanwhile")
    if not merged.collisions:
        return write_values(store, task, command.header, Verb.UPDATE, merged.changes)
    if policy is MergePolicy.LATEST:
        header = command.header
        settled = later_wins(task, merged.collisions, header.stamp, header.actor)
        return write_values(store, task, header, Verb.UPDATE, _by_path(merged.changes + settled))
    return _store_conflict(store, task, command, merged)


def _base(task: Task, command: UpdateTask, yours: dict[str, FieldValue]) -> dict[str, FieldValue]:
    """The values that the writer saw, as far as it said."""
    base: dict[str, FieldValue] = {}
    for path in yours:
        if path in command.base:
            base[path] = field_value(path, command.base[path], f"base of {path}")
        elif command.version:
            base[path] = value_at(task, path, command.version)
    return base


def _is_stale(task: Task, version: int, base: dict[str, FieldValue]) -> bool:
    return version not in (0, task.version) or any(task.value(path) != value for path, value in base.items())


def _store_conflict(store: Store, task: Task, command: UpdateTask, merged: Merged) -> Plan:
    """A queued write keeps what collides as a conflict on the task; any other is refused as a whole."""
    if not command.queued:
        raise _collision(task, command, merged, "others changed the same meanwhile")
    if len(task.conflicts) >= Limits.OPEN_CONFLICTS:
        raise _collision(task, command, merged, f"it has {len(task.conflicts)} open conflicts; resolve some first")
    header = command.header
    conflict = Conflict(task.next_conflict_number, header.actor, header.stamp, merged.collisions)
    losers = tuple(lost(one, one.theirs, header.actor) for one in merged.collisions)
    write = write_values(
        store,
        task,
        header,
        Verb.CONFLICT,
        _by_path(merged.changes + losers),
        conflict=conflict,
        conflicts=(*task.conflicts, conflict),
        next_conflict_number=conflict.number + 1,
    )
    if isinstance(write, Unchanged):
        return write
    return replace(
        write,
        kind=OutcomeKind.STORED_CONFLICT,
        collisions=merged.collisions,
        mergeable_paths=merged.clean_paths,
    )


def _collision(task: Task, command: UpdateTask, merged: Merged, why: str) -> Refusal:
    paths = ", ".join([quoted(one.path) for one in merged.collisions]) or "other fields"
    saw = f", you saw {command.version}" if command.version else ""
    return Refusal(
        OutcomeKind.COLLISION,
        f"{task.key} is at version {task.version}{saw}: {why} ({paths}); read it again and decide",
        subject=task.id,
        collisions=merged.collisions,
        mergeable_paths=merged.clean_paths,
        current_version=task.version,
    )


def plan_resolve_conflict(store: Store, command: ResolveConflict) -> Plan:
    """A task with one conflict less, and a value chosen for each of its fields."""
    task = writable_task(store, command.task_id)
    conflict = next((one for one in task.conflicts if one.number == command.conflict_number), None)
    if conflict is None:
        raise Refusal(
            OutcomeKind.NOT_FOUND,
            f"{task.key} has no open conflict {quoted(command.conflict_number)}; list its conflicts",
            subject=task.id,
            current_version=task.version,
        )
    unknown = sorted(command.take_yours - {one.path for one in conflict.fields})
    if unknown:
        paths = ", ".join([one.path for one in conflict.fields])
        raise invalid(f"take_yours: {quoted(unknown[0])} is not in conflict {conflict.number}; choose among {paths}")
    fields = tuple(_settled(task, conflict, one, one.path in command.take_yours) for one in conflict.fields)
    return write_values(
        store,
        task,
        command.header,
        Verb.RESOLVE,
        fields,
        conflict=conflict,
        conflicts=tuple(one for one in task.conflicts if one is not conflict),
    )


def _settled(task: Task, conflict: Conflict, collision: Collision, take_yours: bool) -> FieldChange:
    """Whichever value is not chosen stays in the history as the loser."""
    present = task.value(collision.path)
    if not take_yours or present == collision.yours:
        return lost(collision, present, conflict.actor)
    return FieldChange(collision.path, present, collision.yours, present, last_write(task, collision.path).actor)


def _by_path(fields: tuple[FieldChange, ...]) -> tuple[FieldChange, ...]:
    return tuple(sorted(fields, key=lambda one: one.path))
