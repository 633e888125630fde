"""Rules between tasks: parents and dependencies exist and never run in a circle."""

from __future__ import annotations

from collections.abc import Mapping

from weftmesh.core.board.model import FieldValue, Limits, Task
from weftmesh.core.board.outcomes import OutcomeKind
from weftmesh.core.board.plans import Refusal, invalid


def check_links(tasks: Mapping[str, Task], task_id: str, before: Task | None, values: Mapping[str, FieldValue]) -> None:
    """Refuses `values` of `task_id` that point nowhere, at the task itself, or in a circle."""
    parent, depends_on = values.get("parent"), values.get("depends_on")
    if isinstance(parent, str) and parent:
        _check_target(tasks, task_id, "parent", parent)
        _check_ancestors(tasks, task_id, parent)
    if isinstance(depends_on, frozenset):
        added = sorted(depends_on - before.depends_on if before is not None else depends_on)
        for target in added:
            _check_target(tasks, task_id, "depends_on", target)
        if before is not None and added:
            _check_dependencies(tasks, before, added)


def _check_target(tasks: Mapping[str, Task], task_id: str, path: str, target: str) -> None:
    if target == task_id:
        raise invalid(f"{path}: the task names itself; name another task")
    if target not in tasks:
        raise _refused(f"{path}: there is no task {target} on this board; create it first")


def _check_ancestors(tasks: Mapping[str, Task], task_id: str, parent: str) -> None:
    ancestor = parent
    for _ in range(Limits.PARENT_DEPTH):
        if not ancestor:
            return
        if ancestor == task_id:
            key = tasks[parent].key
            raise _refused(f"parent: {key} is itself below this task; take it out first, or choose another parent")
        ancestor = tasks[ancestor].parent
    raise _refused(f"parent: more than {Limits.PARENT_DEPTH} levels; choose a parent nearer the root")


def _check_dependencies(tasks: Mapping[str, Task], task: Task, added: list[str]) -> None:
    """Searches what the added tasks wait for; `task` must not be among it."""
    frontier, seen = added, set(added)
    while frontier:
        for current in (tasks[task_id] for task_id in frontier):
            if task.id in current.depends_on:
                raise _refused(
                    f"depends_on: {current.key} already waits for {task.key}, and so would {task.key} for itself; "
                    f"remove {task.key} from what {current.key} waits for, or leave this dependency out"
                )
        fresh = frozenset().union(*(tasks[task_id].depends_on for task_id in frontier)) - seen
        seen |= fresh
        if len(seen) > Limits.DEPENDENCIES_SEARCHED:
            limit = Limits.DEPENDENCIES_SEARCHED
            raise _refused(f"depends_on: more than {limit} tasks to search for a circle; depend on fewer tasks")
        frontier = sorted(fresh)


def _refused(message: str) -> Refusal:
    return Refusal(OutcomeKind.PRECONDITION, message)
