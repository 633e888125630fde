"""`weftmesh ola validate` and `weftmesh ola schema`: files alone, without a node."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from weftmesh.cli.exit_codes import ExitCode
from weftmesh.cli.options import command
from weftmesh.cli.output import Output
from weftmesh.cli.session import Session

if TYPE_CHECKING:
    from weftmesh.runtime.ola_files.reading import FileText, Reading

STDIN: Final = "-"


@command(None, "validate")
@click.argument(
    "files",
    metavar="FILE...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
)
def validate(session: Session, files: tuple[Path, ...]) -> ExitCode:
    """Check the agreements in each FILE, OLA or OpenSLO v1; - reads stdin. No node is asked.

    Each finding has its file, line and column, and what to do. The exit status is 1 when there is an error; warnings
    alone leave it 0.
    """
    from weftmesh.runtime.ola_files.reading import read_agreements

    reading = read_agreements(load_file(path) for path in files)
    if session.output.as_json:
        session.output.json(
            {
                "valid": not reading.errors,
                "agreements": [one.agreement.name for one in reading.agreements],
                "findings": [finding.as_json() for finding in reading.findings],
            }
        )
    else:
        _show(session.output, reading)
    return ExitCode.ERROR if reading.errors else ExitCode.OK


@command(None, "schema")
def schema(session: Session) -> None:
    """Print the JSON Schema of an OLA file, for editors. docs/ola.md says how they use it."""
    from weftmesh.runtime.ola_files.schema import ola_schema

    session.output.json(ola_schema())


def load_file(path: Path) -> FileText:
    """Read a file, or stdin for -, no further than is needed to see that it is too large."""
    from weftmesh.runtime.ola_files.reading import FileText, load
    from weftmesh.runtime.ola_files.yaml_reader import FILE_BYTES_MAX

    if str(path) == STDIN:
        return FileText("<stdin>", sys.stdin.buffer.read(FILE_BYTES_MAX + 1))
    return load(path)


def _show(output: Output, reading: Reading) -> None:
    from weftmesh.runtime.ola_files.findings import FINDINGS_MAX

    for finding in reading.findings:
        output.data(str(finding))
    errors, agreements = len(reading.errors), len(reading.agreements)
    warnings = len(reading.findings) - errors
    if errors:
        rest = "; with so many, the rest is not read" if len(reading.findings) >= FINDINGS_MAX else ""
        output.note(f"errors: {errors}, warnings: {warnings}{rest}")
    else:
        output.note(f"agreements: {agreements}{', all good' if agreements else ''}; warnings: {warnings}")
