"""`weftmesh ola`: the list of its commands."""

from __future__ import annotations

import click

from weftmesh.cli.lazy import Lazy, LazyGroup

OLA_COMMANDS = {
    "plan": Lazy("weftmesh.cli.commands.ola_apply:plan", "What applying files would change, and what is wrong."),
    "apply": Lazy("weftmesh.cli.commands.ola_apply:apply", "Bring files into force."),
    "ls": Lazy("weftmesh.cli.commands.ola_read:ls", "The agreements in force."),
    "show": Lazy("weftmesh.cli.commands.ola_read:show", "What an agreement says, now or in an earlier generation."),
    "status": Lazy("weftmesh.cli.commands.ola_read:status", "Error budgets, and how fast they are spent."),
    "explain": Lazy("weftmesh.cli.commands.ola_read:explain", "Why an agreement burns its budget."),
    "exclude": Lazy("weftmesh.cli.commands.ola_exclude:exclude", "Leave a time out of an agreement's account."),
    "graph": Lazy("weftmesh.cli.commands.ola_read:graph", "The workflow, as Mermaid, DOT or SVG."),
    "retire": Lazy("weftmesh.cli.commands.ola_apply:retire", "Take an agreement out of force."),
    "validate": Lazy("weftmesh.cli.commands.ola_files:validate", "Check files; no node is asked."),
    "schema": Lazy("weftmesh.cli.commands.ola_files:schema", "The JSON Schema of a file, for editors."),
}


@click.group(cls=LazyGroup, lazy=OLA_COMMANDS)
def ola() -> None:
    """Operational level agreements: what teams owe each other."""
