"""`weftmesh import undo`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from weftmesh.cli.exit_codes import ExitCode
from weftmesh.cli.importing import never_queued
from weftmesh.cli.options import command, dry_run_option
from weftmesh.cli.output import Output
from weftmesh.cli.session import Session

if TYPE_CHECKING:
    from weftmesh.client.exchange.undoing import UndoReport

KEPT_SHOWN_MAX: Final = 50


@command(None, "undo")
@click.argument("token")
@click.option("--force", is_flag=True, help="Take back what was edited since, too.")
@dry_run_option
async def undo(session: Session, token: str, force: bool, dry_run: bool) -> ExitCode:
    """Take back the import whose report printed TOKEN.

    Deletes the tasks that it made and sets back the fields that it changed, where nobody changed them since. Works on
    every node, and again. Projects stay.
    """
    from weftmesh.client.exchange.undoing import undo_import
    from weftmesh.client.gateway import ClientGateway
    from weftmesh.core.exchange.tokens import ImportToken

    parsed = ImportToken.parse(token)
    async with session.client() as client, never_queued(session, client, "an undo"):
        report = await undo_import(ClientGateway(client), parsed, dry_run=dry_run, force=force)
    _show(session.output, report)
    return ExitCode.CONFLICT if report.kept else ExitCode.OK


def _show(output: Output, report: UndoReport) -> None:
    if output.as_json:
        output.json(report.to_json())
        return
    for kept in report.kept[:KEPT_SHOWN_MAX]:
        output.error(f"kept: {kept.key} ({kept.origin}): {kept.why}", style="yellow")
    if len(report.kept) > KEPT_SHOWN_MAX:
        output.error(f"kept: {len(report.kept) - KEPT_SHOWN_MAX} more; --json has them all", style="yellow")
    would = "would be " if report.dry_run else ""
    kept_tasks = len({kept.key for kept in report.kept})
    output.data(
        f"{would}deleted {report.deleted}, {would}set back {report.restored}, nothing to do {report.already}, "
        f"kept {kept_tasks}"
    )
    if report.kept:
        output.note("what was edited since stays; --force takes it back too")
    if report.elsewhere:
        output.note(f"not looked at, for they live on other nodes: {', '.join(report.elsewhere)}")
    for project in report.empty_projects:
        output.note(
            f"{project} {'would have' if report.dry_run else 'has'} no task left: weftmesh project rm {project}"
        )
