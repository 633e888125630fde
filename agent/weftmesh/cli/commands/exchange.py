"""`weftmesh import` and `weftmesh export`."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

import click

from weftmesh.cli.exit_codes import ExitCode
from weftmesh.cli.options import command, dry_run_option
from weftmesh.cli.output import Output
from weftmesh.cli.references import parent_of
from weftmesh.cli.session import Session

if TYPE_CHECKING:
    from weftmesh.board.v1 import board_pb2
    from weftmesh.client.exchange.importer import ImportReport, Progress
    from weftmesh.core.exchange.problems import Problem

MAPPINGS: Final = {
    "jira": "Import FILE, a CSV export of Jira.",
    "csv": "Import FILE, any CSV, with columns named by --map or --mapping.",
    "weftmesh": "Import FILE, written by `weftmesh export --format csv`.",
}
PROBLEMS_SHOWN_MAX: Final = 50


@click.group("import")
def import_() -> None:
    """Bring tasks in from a file. Run again, it brings what has changed since."""


def _make_import(mapping_name: str, summary: str) -> None:
    @command(import_, mapping_name, help=summary)
    @click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
    @click.option("--project", default="", help="Put every row into this project.")
    @click.option("--map", "assignments", multiple=True, help="field=Column, status:Word=doing or priority:Word=high.")
    @click.option("--mapping", "mapping_file", type=click.Path(path_type=Path, exists=True), help="The same, as TOML.")
    @click.option("--time-zone", default="", help="Of times without one, such as Europe/Helsinki.")
    @click.option("--time-format", "time_formats", multiple=True, help="Such as %d/%b/%y %I:%M %p; may be repeated.")
    @click.option("--delimiter", default="", help="Between cells.")
    @click.option("--encoding", default="utf-8", show_default=True, help="Of the file.")
    @click.option("--ignore-unknown", is_flag=True, help="Drop columns that no field has; else they become custom.KEY.")
    @click.option("--skip-bad", is_flag=True, help="Write the good rows though others are bad.")
    @click.option("--prefer-file", is_flag=True, help="Where file and board both changed a field, the file wins.")
    @dry_run_option
    async def run(session: Session, file: Path, **options: Any) -> ExitCode:
        return await _import(session, mapping_name, file, options)


for _name, _summary in MAPPINGS.items():
    _make_import(_name, _summary)


async def _import(session: Session, mapping_name: str, file: Path, options: dict[str, Any]) -> ExitCode:
    from weftmesh.client.exchange.importer import ImportOptions, run_import
    from weftmesh.client.exchange.mappings import MappingOptions, build_mapping
    from weftmesh.client.gateway import ClientGateway

    mapping_options = MappingOptions(
        assignments=options["assignments"],
        project=options["project"].upper(),
        time_zone=options["time_zone"],
        time_formats=options["time_formats"],
        delimiter=options["delimiter"],
        ignore_unknown=options["ignore_unknown"],
    )
    mapping = build_mapping(mapping_name, mapping_options, options["mapping_file"])
    import_options = ImportOptions(
        dry_run=options["dry_run"],
        skip_bad=options["skip_bad"],
        prefer_file=options["prefer_file"],
        encoding=options["encoding"],
    )
    async with session.client() as client:
        with session.output.progress("importing") as bar:
            on_progress = _progress(bar)
            report = await run_import(ClientGateway(client), file, mapping, import_options, on_progress)
    _show_report(session.output, report)
    return ExitCode.ERROR if report.problems else ExitCode.OK


def _progress(bar: Any) -> Progress | None:
    if bar is None:
        return None
    task = bar.add_task("importing", total=None)

    def on_progress(done: int, total: int) -> None:
        bar.update(task, completed=done, total=total)

    return on_progress


def _show_report(output: Output, report: ImportReport) -> None:
    if output.as_json:
        output.json(report.to_json())
        return
    _show_problems(output, "problem", report.problems)
    _show_problems(output, "note", report.notes)
    would = "would be " if report.dry_run else ""
    output.data(
        f"{would}created {report.created}, {would}updated {report.updated}, unchanged {report.unchanged}, "
        f"skipped {report.skipped}"
    )
    if report.problems and not report.written and not report.dry_run:
        output.error("nothing was written: mend the file, or pass --skip-bad to write the good rows")


def _show_problems(output: Output, what: str, problems: tuple[Problem, ...]) -> None:
    for problem in problems[:PROBLEMS_SHOWN_MAX]:
        output.error(f"{what}: {problem}", style="yellow")
    if len(problems) > PROBLEMS_SHOWN_MAX:
        output.error(f"{what}s: {len(problems) - PROBLEMS_SHOWN_MAX} more; --json has them all", style="yellow")


@command(None, "export")
@click.argument("project", required=False)
@click.option("--format", "file_format", type=click.Choice(["csv", "jsonl"]), default="csv", show_default=True)
@click.option("--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help="A file.  [default: stdout]")
@click.option("--filter", "-f", "filter_text", default="", help="As for `task ls`.")
@click.option("--deleted", is_flag=True, help="Deleted tasks too.")
@click.option("--at-revision", type=click.IntRange(min=1), help="The board as it was at this revision.")
async def export(
    session: Session,
    project: str | None,
    file_format: str,
    output: Path | None,
    filter_text: str,
    deleted: bool,
    at_revision: int | None,
) -> None:
    """Write the tasks of PROJECT, or of every replicated project, all from one revision.

    With --json and --output, stdout gets a JSON object with their number; without --output the tasks are the data.
    """
    async with session.client() as client:
        tasks = client.list_tasks(
            parent_of(project),
            filter=filter_text,
            show_deleted=deleted,
            at_revision=at_revision or 0,
            timeout_s=session.timeout_s,
        )
        if output is None:
            count = await _write(file_format, tasks, sys.stdout)
        else:
            with output.open("w", encoding="utf-8", newline="") as out:
                count = await _write(file_format, tasks, out)
    if session.output.as_json and output is not None:
        session.output.json({"tasks": count, "file": str(output)})
    else:
        session.output.note(f"{count} tasks written")


async def _write(file_format: str, tasks: AsyncIterator[board_pb2.Task], out: TextIO) -> int:
    from weftmesh.client.exchange.exporter import export_csv, export_jsonl

    return await (export_csv if file_format == "csv" else export_jsonl)(tasks, out)
