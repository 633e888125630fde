"""What happened to a task, as text for people and for failing tests."""

from __future__ import annotations

from weftmesh.core.board.model import Change, Conflict, DueAt, DueDate, FieldChange, FieldValue, Task
from weftmesh.core.board.plans import quoted


def task_story(task: Task) -> str:
    """One line for the task, one for each change and each of its fields, and one for each open conflict."""
    state = " (deleted)" if task.deleted_stamp else ""
    lines = [f"{task.key} {quoted(task.title)} [{task.id}] version {task.version} at revision {task.revision}{state}"]
    for change in task.history:
        lines.append(_change_line(change))
        lines.extend(f"    {_field_line(one)}" for one in change.fields)
    lines.extend(_conflict_line(conflict) for conflict in task.conflicts)
    return "\n".join(lines)


def _change_line(change: Change) -> str:
    request = f" request {change.request_id.hex()}" if change.request_id else ""
    conflict = f" #{change.conflict.number}" if change.conflict is not None else ""
    head = f"v{change.version} r{change.revision} {change.verb.name.lower()}{conflict}"
    return f"  {head} by {change.actor} at {change.stamp}{request}"


def _field_line(one: FieldChange) -> str:
    kept = f"{one.path}: stays {_shown(one.after)}"
    line = kept if one.before == one.after else f"{one.path}: {_shown(one.before)} -> {_shown(one.after)}"
    return f"{line}; lost {_shown(one.loser)} of {one.loser_actor}" if one.loser_actor else line


def _conflict_line(conflict: Conflict) -> str:
    waiting = ", ".join(f"{one.path}={_shown(one.yours)}" for one in conflict.fields)
    return f"  open conflict {conflict.number} of {conflict.actor}: {waiting}"


def _shown(value: FieldValue) -> str:
    if isinstance(value, frozenset):
        return quoted(sorted(value))
    if isinstance(value, DueDate):
        return value.iso
    if isinstance(value, DueAt):
        return f"{value.epoch_ms} ms {value.zone}"
    return quoted(value)
