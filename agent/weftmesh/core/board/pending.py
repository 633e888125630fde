"""Writes that wait on their node for a quorum: what their writers saw, and whether the board has them already.

Between the write and its replay others may write too, so a queued write carries what its writer saw, field by field.
What a writer queued before counts as seen by that writer: two edits of one person in a row do not collide.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from weftmesh.core.board.commands import (
    Command,
    CreateProject,
    CreateTask,
    DeleteProject,
    DeleteTask,
    RevertTask,
    UndeleteProject,
    UpdateProject,
    UpdateTask,
)
from weftmesh.core.board.history import last_write, value_at
from weftmesh.core.board.machine import Board
from weftmesh.core.board.model import SET_PATHS, Change, FieldValue, MergePolicy, Project, Task, Verb
from weftmesh.core.board.outcomes import Outcome, OutcomeKind
from weftmesh.core.ids import conflict_name

ProjectCommand = CreateProject | UpdateProject | DeleteProject | UndeleteProject


def as_queued(command: Command, board: Board, laid: Board) -> Command:
    """`command` as it is kept in the queue and proposed later.

    Args:
        command: what the writer asks for now.
        board: the board as this node has it.
        laid: the same with the queue laid over it.
    """
    if isinstance(command, UpdateTask):
        return _queued_update(command, board, laid)
    if isinstance(command, RevertTask | DeleteTask):
        before, after = board.find_task(command.task_id), laid.find_task(command.task_id)
        return replace(command, version=_version_seen(command.version, command.header.actor, before, after))
    if isinstance(command, UpdateProject | DeleteProject):
        known, waiting = board.project(command.project_id), laid.project(command.project_id)
        return replace(command, version=_version_seen(command.version, command.header.actor, known, waiting))
    return command


def _queued_update(command: UpdateTask, board: Board, laid: Board) -> UpdateTask:
    """An update that says of every field what its writer saw, and that is stored as a conflict where it collides."""
    before, after = board.find_task(command.task_id), laid.find_task(command.task_id)
    if after is None or command.version > after.version:
        return replace(command, queued=True)  # the board refuses it and says why
    base = {path: _value_seen(command, path, before, after) for path in command.changes}
    project = laid.project(after.project_id)
    version = 0
    if project is not None and project.merge_policy is MergePolicy.REJECT:
        # The only policy that asks for more than the base.
        version = _version_seen(command.version, command.header.actor, before, after)
    return replace(command, base=base, version=version, queued=True)


def _value_seen(command: UpdateTask, path: str, before: Task | None, after: Task) -> FieldValue:
    if path in command.base:
        seen = command.base[path]
    elif command.version and before is not None and command.version <= before.version:
        seen = value_at(before, path, command.version)
    else:
        return after.value(path)
    if before is None or path in SET_PATHS or seen != before.value(path):
        return seen  # sets merge by what was added and removed, whatever else waits
    return after.value(path) if last_write(after, path).actor == command.header.actor else seen


def _version_seen(version: int, actor: str, before: Task | Project | None, after: Task | Project | None) -> int:
    """The version after the writer's own queued writes, if the writer saw the one before them."""
    if before is None or after is None or version != before.version:
        return version
    own = all(change.actor == actor for change in after.history[before.version :])
    return after.version if own else version


def applied_change(board: Board, command: Command) -> Change | None:
    """The change that `command` made of the board, however long ago; found by its request id in the history.

    None also for one that changed nothing, was refused, or is not applied yet.
    """
    request_id = command.header.request_id
    if not request_id:
        return None
    if isinstance(command, ProjectCommand):
        project = board.project(command.project_id)
        history = () if project is None else project.history
    else:
        task = board.find_task(command.task_id)
        history = () if task is None else task.history
    return next((change for change in reversed(history) if change.request_id == request_id), None)


def applied_outcome(board: Board, command: Command) -> Outcome | None:
    """What `command` was answered if it changed the board before; None where `applied_change` is.

    A request id that is known to have made another change than this is refused, as the board itself refuses it.
    """
    change = applied_change(board, command)
    if change is None:
        return None
    first = board.first_answer(command.header)
    if first is not None and first.kind is OutcomeKind.REQUEST_REUSED:
        return first
    kind = OutcomeKind.STORED_CONFLICT if change.verb is Verb.CONFLICT else OutcomeKind.APPLIED
    return Outcome(kind, change.revision, written(command), current_version=change.version)


def stored_conflict(board: Board, outcome: Outcome) -> str:
    """The resource name of the conflict that a write was stored as; empty when it was applied in full."""
    task = board.find_task(outcome.subject)
    if outcome.kind is not OutcomeKind.STORED_CONFLICT or task is None:
        return ""
    change = task.history[outcome.current_version - 1]
    return "" if change.conflict is None else conflict_name(task.project_id, task.id, change.conflict.number)


def written(command: Command) -> str:
    """The id of the task or the project that `command` writes."""
    return command.project_id if isinstance(command, ProjectCommand) else command.task_id


def touched(command: Command) -> frozenset[str]:
    """The ids of all tasks and projects that `command` names."""
    named = {written(command)}
    values: Mapping[str, FieldValue] = {}
    if isinstance(command, CreateTask):
        named.add(command.project_id)
        values = command.fields
    elif isinstance(command, UpdateTask):
        values = command.changes
    for path in ("parent", "depends_on"):
        value = values.get(path)
        named |= value if isinstance(value, frozenset) else {value} if isinstance(value, str) else set()
    return frozenset(named)
