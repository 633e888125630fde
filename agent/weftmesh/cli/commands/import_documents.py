"""`weftmesh import github` and `taskwarrior`: JSON exports of trackers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from weftmesh.cli.exit_codes import ExitCode
from weftmesh.cli.importing import carry_out, import_options
from weftmesh.cli.options import command
from weftmesh.cli.session import Session


@command(None, "github")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--project", default="", help="Put every issue into this project.  [default: named after its repository]")
@click.option("--repo", default="", metavar="OWNER/NAME", help="Of entries that do not say it.")
@import_options
async def github(session: Session, file: Path, **options: Any) -> ExitCode:
    """Import FILE, issues of GitHub as JSON.

    From `gh issue list --json ...`, or pages of the REST API. Pull requests are counted and left out.
    """
    from weftmesh.client.exchange.sources import github_source

    source = github_source(project=options["project"], repository=options["repo"])
    return await carry_out(session, file, source, options)


@command(None, "taskwarrior")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--project", default="", help="Put every task into this project.  [default: named after its own]")
@click.option("--time-zone", default="", help="Where a due time at midnight is a day, such as Europe/Helsinki.")
@import_options
async def taskwarrior(session: Session, file: Path, **options: Any) -> ExitCode:
    """Import FILE, written by `task export`.

    Templates of recurring tasks are counted and left out; the tasks they made are imported.
    """
    from weftmesh.client.exchange.sources import taskwarrior_source

    source = taskwarrior_source(project=options["project"], time_zone=options["time_zone"])
    return await carry_out(session, file, source, options)
