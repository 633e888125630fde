"""`weftmesh learn`: the list of its commands; they live in `learn_read` and `learn_change`."""

from __future__ import annotations

import click

from weftmesh.cli.lazy import Lazy, LazyGroup

LEARN_COMMANDS = {
    "status": Lazy("weftmesh.cli.commands.learn_read:status", "What is learned, how far, and who takes part."),
    "dry-run": Lazy("weftmesh.cli.commands.learn_read:dry_run", "What would leave this node in a round."),
    "history": Lazy("weftmesh.cli.commands.learn_read:history", "A job's versions, and what happened to it."),
    "run": Lazy("weftmesh.cli.commands.learn_change:run", "Ask for rounds of training."),
    "promote": Lazy("weftmesh.cli.commands.learn_change:promote", "Forecast with a version."),
    "rollback": Lazy("weftmesh.cli.commands.learn_change:rollback", "Forecast with an earlier version again."),
    "opt-out": Lazy("weftmesh.cli.commands.learn_change:opt_out", "Take no part on this node."),
    "opt-in": Lazy("weftmesh.cli.commands.learn_change:opt_in", "Take part again on this node."),
}


@click.group(cls=LazyGroup, lazy=LEARN_COMMANDS)
def learn() -> None:
    """Models that nodes learn together, without showing each other a task."""
