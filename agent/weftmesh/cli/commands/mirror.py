"""`weftmesh mirror`."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from weftmesh.cli.durations import parse_duration
from weftmesh.cli.exit_codes import ExitCode, exit_code_of
from weftmesh.cli.failures import failure_json, show_failure
from weftmesh.cli.importing import show_problems, show_report
from weftmesh.cli.options import command, dry_run_option
from weftmesh.cli.output import Output
from weftmesh.cli.session import Session
from weftmesh.core.errors import WeftmeshError

if TYPE_CHECKING:
    from weftmesh.client.exchange.importer import ImportReport
    from weftmesh.client.exchange.mirroring import Mirror
    from weftmesh.client.exchange.sources import ImportSource

KINDS: Final = ("github", "taskwarrior", "csv", "jira")
CHANGES_SHOWN_MAX: Final = 200


@command(None, "mirror")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--kind", type=click.Choice(KINDS), required=True, help="What FILE is an export of.")
@click.option("--project", default="", help="Put every task into this project.")
@click.option("--repo", default="", metavar="OWNER/NAME", help="Of entries that do not say it; of github.")
@click.option("--map", "assignments", multiple=True, help="As for `import csv`.")
@click.option("--mapping", "mapping_file", type=click.Path(path_type=Path, exists=True), help="As for `import csv`.")
@click.option("--time-zone", default="", help="As for `import`.")
@click.option("--every", callback=parse_duration, help="Look again after 30s, 5m or 1h, until Ctrl-C.")
@click.option("--once", is_flag=True, help="Look once; the default.")
@click.option("--skip-bad", is_flag=True, help="Write the good rows though others are bad.")
@click.option("--force", is_flag=True, help="Overwrite what was edited here, and let any number of tasks vanish.")
@dry_run_option
async def mirror(session: Session, file: Path, every: timedelta | None, once: bool, **options: Any) -> ExitCode:
    """Keep a copy of another tracker fresh: import FILE, its export, whenever it has changed.

    Edits made here are listed as drift and stay, unless --force overwrites them. Tasks that FILE no longer has get the
    custom field `vanished`; none is closed or deleted.
    """
    from weftmesh.client.exchange.mirroring import Mirror, MirrorOptions

    if once and every is not None:
        raise click.UsageError("--once and --every exclude each other; leave one of them out")
    chosen = MirrorOptions(options["dry_run"], options["skip_bad"], options["force"])
    mirrored = Mirror(file, _source(options), chosen)
    if every is None:
        return await _look(session, mirrored)
    session.output.note(f"mirroring {file} every {every.total_seconds():g} s; Ctrl-C ends it")
    try:
        while True:
            try:
                await _look(session, mirrored)
            except WeftmeshError as error:
                # A file that is being written and a mesh without a quorum both pass.
                _show_trouble(session.output, error)
            await asyncio.sleep(every.total_seconds())
    except asyncio.CancelledError:
        return ExitCode.OK  # Ctrl-C is how a mirror ends well


def _source(options: dict[str, Any]) -> ImportSource:
    from weftmesh.client.exchange.mappings import MappingOptions, build_mapping
    from weftmesh.client.exchange.sources import TableSource, github_source, taskwarrior_source

    project: str = options["project"]
    match options["kind"]:
        case "github":
            return github_source(project=project, repository=options["repo"])
        case "taskwarrior":
            return taskwarrior_source(project=project, time_zone=options["time_zone"])
    wishes = MappingOptions(options["assignments"], project.upper(), options["time_zone"])
    return TableSource(build_mapping(options["kind"], wishes, options["mapping_file"]))


async def _look(session: Session, mirrored: Mirror) -> ExitCode:
    from weftmesh.client.gateway import ClientGateway

    async with session.client() as client:
        report = await mirrored.look(ClientGateway(client))
    if report is None:
        return ExitCode.OK
    if session.output.as_json:
        session.output.json(report.to_json() | {"changes": list(report.changes)}, line=True)
    else:
        _show(session.output, report)
    return ExitCode.ERROR if report.problems else ExitCode.OK


def _show(output: Output, report: ImportReport) -> None:
    for change in report.changes[:CHANGES_SHOWN_MAX]:
        output.data(change)
    if len(report.changes) > CHANGES_SHOWN_MAX:
        output.data(f"{len(report.changes) - CHANGES_SHOWN_MAX} more; --json has them all")
    show_problems(output, "drift", report.drift)
    if report.vanished:
        output.data(f"no longer in the file, marked: {report.vanished}")
    show_report(output, report)


def _show_trouble(output: Output, error: WeftmeshError) -> None:
    if output.as_json:
        output.json(failure_json(exit_code_of(error), error.reason, str(error), {}), line=True)
    else:
        show_failure(output, error)
