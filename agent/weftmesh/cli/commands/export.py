"""`weftmesh export`."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

import click

from weftmesh.cli.options import command
from weftmesh.cli.references import parent_of
from weftmesh.cli.session import Session

if TYPE_CHECKING:
    from weftmesh.board.v1 import board_pb2

FORMATS: Final = ("csv", "jsonl", "github", "taskwarrior")
_ARGUMENTS_MAX: Final = 2


@command(None, "export")
@click.argument("what", nargs=-1, metavar="[FORMAT] [PROJECT]")
@click.option("--format", "file_format", type=click.Choice(FORMATS), help="The same as FORMAT.  [default: csv]")
@click.option("--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help="A file.  [default: stdout]")
@click.option("--filter", "-f", "filter_text", default="", help="As for `task ls`.")
@click.option("--deleted", is_flag=True, help="Deleted tasks too; of csv and jsonl.")
@click.option("--at-revision", type=click.IntRange(min=1), help="The board as it was at this revision.")
@click.option("--time-zone", default="UTC", show_default=True, help="Where days begin; of taskwarrior.")
async def export(
    session: Session,
    what: tuple[str, ...],
    file_format: str | None,
    output: Path | None,
    filter_text: str,
    deleted: bool,
    at_revision: int | None,
    time_zone: str,
) -> None:
    """Write the tasks of PROJECT, or of every replicated project, all from one revision.

    FORMAT is csv, jsonl, github or taskwarrior. With --json and --output, stdout gets a JSON object with the tasks'
    number; without --output the tasks are the data.
    """
    chosen, project = _arguments(what, file_format)
    if deleted and chosen not in ("csv", "jsonl"):
        raise click.UsageError(f"--deleted: {chosen} cannot say that a task is deleted; leave it out")
    async with session.client() as client:
        tasks = client.list_tasks(
            parent_of(project),
            filter=filter_text,
            show_deleted=deleted,
            at_revision=at_revision or 0,
            timeout_s=session.timeout_s,
        )
        if output is None:
            count = await _write(chosen, tasks, sys.stdout, time_zone)
        else:
            with output.open("w", encoding="utf-8", newline="") as out:
                count = await _write(chosen, tasks, out, time_zone)
    if session.output.as_json and output is not None:
        session.output.json({"tasks": count, "file": str(output)})
    else:
        session.output.note(f"{count} tasks written")


def _arguments(what: tuple[str, ...], file_format: str | None) -> tuple[str, str | None]:
    """The format and the project. A format's name is in small letters; a project of that name can be in capitals."""
    words = list(what)
    if words and words[0] in FORMATS and file_format is None:
        file_format = words.pop(0)
    if len(words) > 1 or len(what) > _ARGUMENTS_MAX:
        raise click.UsageError(f"{words[-1]!r} is one word too many; write weftmesh export [FORMAT] [PROJECT]")
    return file_format or "csv", words[0] if words else None


async def _write(file_format: str, tasks: AsyncIterator[board_pb2.Task], out: TextIO, time_zone: str) -> int:
    from weftmesh.client.exchange.document_export import export_github, export_taskwarrior
    from weftmesh.client.exchange.exporter import export_csv, export_jsonl

    match file_format:
        case "github":
            return await export_github(tasks, out)
        case "taskwarrior":
            return await export_taskwarrior(tasks, out, time_zone)
    return await (export_csv if file_format == "csv" else export_jsonl)(tasks, out)
