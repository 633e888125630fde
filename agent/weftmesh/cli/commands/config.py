"""`weftmesh config`."""

from __future__ import annotations

import os
from typing import Any

import click

from weftmesh.cli.options import command
from weftmesh.cli.session import Session
from weftmesh.cli.tables import Column
from weftmesh.core.errors import ConfigError


@click.group()
def config() -> None:
    """The configuration in force."""


@command(config, "show")
@click.option("--origin", is_flag=True, help="Where each value comes from.")
def show(session: Session, origin: bool) -> None:
    """Show every setting."""
    settings = session.config().settings
    if session.output.as_json:
        rows = [
            {"section": each.section, "key": each.key, "value": _plain(each.value), "origin": each.origin}
            for each in settings
        ]
        session.output.json({"settings": rows})
        return
    columns = [Column("SETTING"), Column("VALUE", flexible=True), Column("ORIGIN", flexible=True)]
    cells = [[f"{each.section}.{each.key}", str(_plain(each.value)), each.origin] for each in settings]
    width = len(columns) if origin else len(columns) - 1
    session.output.table(columns[:width], [row[:width] for row in cells])


@command(config, "validate")
def validate(session: Session) -> None:
    """Check the configuration; all problems are shown at once."""
    from weftmesh.runtime.config import validate_config

    problems = validate_config(session.config_path, environment=os.environ)
    if problems:
        listing = "\n".join(str(problem) for problem in problems)
        raise ConfigError(f"{len(problems)} problems:\n{listing}", metadata={"problems": str(len(problems))})
    if session.output.as_json:
        session.output.json({"valid": True})
    elif session.config_file.exists():
        session.output.note(f"{session.config_file}: good")
    else:
        session.output.note(f"there is no {session.config_file}: defaults and the environment hold, and they are good")


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    return value if isinstance(value, bool | int | str) else str(value)
