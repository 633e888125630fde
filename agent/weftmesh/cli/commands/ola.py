"""`weftmesh ola`: the list of its commands."""

from __future__ import annotations

import click

from weftmesh.cli.lazy import Lazy, LazyGroup

OLA_COMMANDS = {
    "validate": Lazy("weftmesh.cli.commands.ola_files:validate", "Check files; no node is asked."),
    "schema": Lazy("weftmesh.cli.commands.ola_files:schema", "The JSON Schema of a file, for editors."),
}


@click.group(cls=LazyGroup, lazy=OLA_COMMANDS)
def ola() -> None:
    """Operational level agreements: what teams owe each other."""
