"""What all imports have in common: their options, their progress, their report and its undo token."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from weftmesh.cli.exit_codes import ExitCode
from weftmesh.cli.options import dry_run_option
from weftmesh.cli.output import Output
from weftmesh.cli.session import Session
from weftmesh.core.errors import NoQuorumError, WeftmeshError

if TYPE_CHECKING:
    from weftmesh.client import Client
    from weftmesh.client.exchange.importer import ImportReport, Progress
    from weftmesh.client.exchange.sources import ImportSource
    from weftmesh.core.exchange.problems import Problem
    from weftmesh.core.exchange.tokens import ImportToken

PROBLEMS_SHOWN_MAX: Final = 50
_C = TypeVar("_C", bound=Callable[..., Any])


def import_options(function: _C) -> _C:
    """The options that every import has."""
    function = dry_run_option(function)
    function = click.option(
        "--prefer-file", is_flag=True, help="Where file and board both changed a field, the file wins."
    )(function)
    return click.option("--skip-bad", is_flag=True, help="Write the good rows though others are bad.")(function)


async def carry_out(session: Session, file: Path, source: ImportSource, options: dict[str, Any]) -> ExitCode:
    """Import `file` and say what came of it."""
    from weftmesh.client.exchange.importer import ImportOptions, run_import
    from weftmesh.client.gateway import ClientGateway
    from weftmesh.core.exchange.planned import ImportRules

    rules = ImportRules(prefer_file=options["prefer_file"])
    chosen = ImportOptions(dry_run=options["dry_run"], skip_bad=options["skip_bad"], rules=rules)
    tokens: list[ImportToken] = []
    try:
        async with session.client() as client, never_queued(session, client, "an import"):
            with session.output.progress("importing") as bar:
                progress = _progress(bar)
                report = await run_import(ClientGateway(client), file, source, chosen, progress, tokens.append)
    except WeftmeshError:
        show_way_back(session.output, tokens)
        raise
    show_report(session.output, report)
    return ExitCode.ERROR if report.problems else ExitCode.OK


@asynccontextmanager
async def never_queued(session: Session, client: Client, what: str) -> AsyncIterator[None]:
    """Say before and after that many writes at once, unlike a single one, do not wait on this node for a quorum.

    Raises:
        NoQuorumError: as the block, with what to do.
    """
    if not (await client.mesh.get_status(timeout_s=session.timeout_s)).quorum:
        session.output.note(f"no quorum now: {what} waits for one for a minute")
    try:
        yield
    except NoQuorumError as error:
        why = f"{error}; {what} is never queued: give it again when `weftmesh status` shows a quorum"
        raise NoQuorumError(why, reason=error.reason, metadata=error.metadata) from error


def show_way_back(output: Output, tokens: Sequence[ImportToken]) -> None:
    """Tell, of an import that broke off, how to take back what it wrote."""
    for token in tokens:
        output.note(f"some of it may be written: import again to go on, or weftmesh import undo {token}")


def show_report(output: Output, report: ImportReport) -> None:
    """Say what an import did, or would do."""
    if output.as_json:
        output.json(report.to_json())
        return
    show_problems(output, "problem", report.problems)
    show_problems(output, "note", report.notes)
    would = "would be " if report.dry_run else ""
    restored = f"{would}brought back {report.restored}, " if report.restored else ""
    output.data(
        f"{would}created {report.created}, {restored}{would}updated {report.updated}, unchanged {report.unchanged}, "
        f"skipped {report.skipped}"
    )
    if report.undo:
        output.data(f"undo: weftmesh import undo {report.undo}")
    if report.problems and not report.written and not report.dry_run:
        output.error("nothing was written: mend the file, or pass --skip-bad to write the good rows")


def show_problems(output: Output, what: str, problems: Sequence[Problem]) -> None:
    """Say what is wrong, at most as much as a person reads."""
    for problem in problems[:PROBLEMS_SHOWN_MAX]:
        output.error(f"{what}: {problem}", style="yellow")
    if len(problems) > PROBLEMS_SHOWN_MAX:
        output.error(f"{what}s: {len(problems) - PROBLEMS_SHOWN_MAX} more; --json has them all", style="yellow")


def _progress(bar: Any) -> Progress | None:
    if bar is None:
        return None
    task = bar.add_task("importing", total=None)

    def on_progress(done: int, total: int) -> None:
        bar.update(task, completed=done, total=total)

    return on_progress
