"""A task of the board as the finish-time forecast sees it, as of any moment: training and serving read the same."""

from __future__ import annotations

import math
from typing import Final

from weftmesh.core.board.model import CUSTOM_PREFIX, Change, Status, Task
from weftmesh.core.clock import stamp_to_ms
from weftmesh.core.errors import InvalidInputError
from weftmesh.core.forecast.cycle_time import TaskTimes
from weftmesh.core.forecast.finish_features import BoardTask
from weftmesh.core.forecast.imported_times import CREATED, RESOLVED, imported_s

TASKS_NEWEST: Final = 4_000
"""Of a team, that its pace and its part of a training are taken from: 0.4 s of work in a thread. With 1,000 the late
quantiles of large teams were too short, since the tasks that wait longest were left out (docs/forecasts.md)."""
KIND_FIELDS: Final = ("issue_type", "type", "kind")
"""Custom fields that say what kind of task one is; the first that is there counts."""


def board_task(task: Task, as_of_s: float = math.inf) -> BoardTask | None:
    """A task as it was known at a moment; None for one whose cycle time nobody saw, or that was not there yet.

    Nobody saw that of cancelled tasks, of tasks that were done when they came to the board, unless they were imported
    with their times, and of those whose import brought impossible ones. A task that was reopened is open again, and
    ends when it is done once more. Lengths and kind are the present ones.

    Args:
        task: with its history.
        as_of_s: Unix seconds; what was written later is not looked at.
    """
    custom = task.custom or {}
    made_s = _unix_s(task.created_stamp)
    created_s = imported_s(custom.get(CREATED))
    if created_s is None:
        created_s = made_s
    status, since = _standing(task, as_of_s)
    resolved_s = _resolved_s(task, since) if status is Status.DONE else None
    if max(made_s, created_s) > as_of_s or status is Status.CANCELLED:
        return None
    if status is Status.DONE and resolved_s is None:
        return None
    try:
        times = TaskTimes(created_s, resolved_s).known_at(as_of_s)
    except InvalidInputError:
        return None  # an import may bring any year
    kind = next((custom[field] for field in KIND_FIELDS if field in custom), "")
    return BoardTask(times, kind, len(task.title), len(task.description))


def _standing(task: Task, as_of_s: float) -> tuple[Status, Change | None]:
    """The status of a task at a moment, and the change that gave it; None for the status that it came with."""
    status = task.status
    for change in reversed(task.history):
        for one in change.fields:
            if one.path == "status" and one.before != one.after and isinstance(one.before, int):
                if _unix_s(change.stamp) <= as_of_s:
                    return status, change
                status = Status(one.before)
    return status, None


def _resolved_s(task: Task, since: Change | None) -> float | None:
    """When a task became done: by its history, unless an import brought both and knows better than its own time."""
    if since is not None and all(one.path != CUSTOM_PREFIX + RESOLVED for one in since.fields):
        return _unix_s(since.stamp)
    return imported_s((task.custom or {}).get(RESOLVED))


def _unix_s(stamp: int) -> float:
    return stamp_to_ms(stamp) / 1_000
