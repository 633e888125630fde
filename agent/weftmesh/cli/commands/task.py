"""`weftmesh task`: the list of its commands; they live in `task_read`, `task_write` and `task_past`."""

from __future__ import annotations

import click

from weftmesh.cli.lazy import Lazy, LazyGroup

TASK_COMMANDS = {
    "add": Lazy("weftmesh.cli.commands.task_write:add", "Make a task."),
    "ls": Lazy("weftmesh.cli.commands.task_read:ls", "List tasks."),
    "show": Lazy("weftmesh.cli.commands.task_read:show", "Show one task, with its open conflicts."),
    "set": Lazy("weftmesh.cli.commands.task_write:set_", "Change fields of a task."),
    "start": Lazy("weftmesh.cli.commands.task_write:start", "Set a task in progress."),
    "block": Lazy("weftmesh.cli.commands.task_write:block", "Mark a task as blocked."),
    "done": Lazy("weftmesh.cli.commands.task_write:done", "Mark a task as done."),
    "claim": Lazy("weftmesh.cli.commands.task_write:claim", "Take a task; one winner."),
    "log": Lazy("weftmesh.cli.commands.task_past:log", "Every change of a task, with what lost."),
    "revert": Lazy("weftmesh.cli.commands.task_write:revert", "Set a task back to an earlier version."),
    "rm": Lazy("weftmesh.cli.commands.task_write:rm", "Delete a task."),
    "undelete": Lazy("weftmesh.cli.commands.task_write:undelete", "Bring a deleted task back."),
    "watch": Lazy("weftmesh.cli.commands.task_past:watch", "Follow changes as they happen."),
    "conflicts": Lazy("weftmesh.cli.commands.task_past:conflicts", "List conflicts that wait for a decision."),
    "resolve": Lazy("weftmesh.cli.commands.task_write:resolve", "Settle a conflict."),
}


@click.group(cls=LazyGroup, lazy=TASK_COMMANDS)
def task() -> None:
    """Find, read and change tasks."""
