"""`weftmesh import`: the kinds of files, and the way back."""

from __future__ import annotations

import click

from weftmesh.cli.commands.import_documents import github, taskwarrior
from weftmesh.cli.commands.import_tables import TABLES, make_import
from weftmesh.cli.commands.import_undo import undo


@click.group("import")
def import_() -> None:
    """Bring tasks in from a file. Run again, it brings what has changed since."""


for _name, _summary in TABLES.items():
    import_.add_command(make_import(_name, _summary))
import_.add_command(github)
import_.add_command(taskwarrior)
import_.add_command(undo)
