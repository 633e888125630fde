"""`weftmesh import csv`, `jira` and `weftmesh`: tables, read by a mapping of their columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click

from weftmesh.cli.exit_codes import ExitCode
from weftmesh.cli.importing import carry_out, import_options
from weftmesh.cli.options import command
from weftmesh.cli.session import Session

TABLES: Final = {
    "jira": "Import FILE, a CSV export of Jira.",
    "csv": "Import FILE, any CSV, with columns named by --map or --mapping.",
    "weftmesh": "Import FILE, written by `weftmesh export --format csv`.",
}


def make_import(mapping_name: str, summary: str) -> click.Command:
    """The command that imports tables of this kind."""

    @command(None, mapping_name, help=summary)
    @click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
    @click.option("--project", default="", help="Put every row into this project.")
    @click.option("--map", "assignments", multiple=True, help="field=Column, status:Word=doing or priority:Word=high.")
    @click.option("--mapping", "mapping_file", type=click.Path(path_type=Path, exists=True), help="The same, as TOML.")
    @click.option("--time-zone", default="", help="Of times without one, such as Europe/Helsinki.")
    @click.option("--time-format", "time_formats", multiple=True, help="Such as %d/%b/%y %I:%M %p; may be repeated.")
    @click.option("--delimiter", default="", help="Between cells.")
    @click.option("--encoding", default="utf-8", show_default=True, help="Of the file.")
    @click.option("--ignore-unknown", is_flag=True, help="Drop columns that no field has; else they become custom.KEY.")
    @import_options
    async def run(session: Session, file: Path, **options: Any) -> ExitCode:
        from weftmesh.client.exchange.mappings import MappingOptions, build_mapping
        from weftmesh.client.exchange.sources import TableSource

        mapping_options = MappingOptions(
            assignments=options["assignments"],
            project=options["project"].upper(),
            time_zone=options["time_zone"],
            time_formats=options["time_formats"],
            delimiter=options["delimiter"],
            ignore_unknown=options["ignore_unknown"],
        )
        mapping = build_mapping(mapping_name, mapping_options, options["mapping_file"])
        return await carry_out(session, file, TableSource(mapping, options["encoding"]), options)

    return run
