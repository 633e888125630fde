"""`weftmesh recover-quorum`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import click

from weftmesh.cli.encoding import to_json
from weftmesh.cli.exit_codes import ExitCode
from weftmesh.cli.options import command, dry_run_option
from weftmesh.cli.output import Output
from weftmesh.cli.session import Session
from weftmesh.cli.text import time_text
from weftmesh.mesh.v1 import recovery_pb2

RECOVER_TIMEOUT_S: Final = 60.0


@command(None, "recover-quorum")
@click.option("--yes-lose-data", "confirmed", metavar="CLUSTER", help="The mesh's name, instead of being asked for it.")
@dry_run_option
async def recover_quorum(session: Session, confirmed: str | None, dry_run: bool) -> ExitCode:
    """Let this node go on alone, when a majority of the voters is gone for good.

    It keeps all that it has and becomes the only voter. What the others acknowledged and this node never got is lost.
    Refused while a majority answers, or while another node has more. The other voters must never start again as they
    are: wipe them and let them join.
    """
    async with session.client() as client:
        request = recovery_pb2.RecoverQuorumRequest(validate_only=True)
        report = await client.recovery.recover_quorum(request, timeout_s=RECOVER_TIMEOUT_S)
        if not session.output.as_json:
            _show(session.output, report)
        if report.refusal or dry_run:
            _tell_end(session.output, report, dry_run=dry_run)
            return ExitCode.ERROR if report.refusal else ExitCode.OK
        request = recovery_pb2.RecoverQuorumRequest(cluster=confirmed or _ask(report.cluster))
        report = await client.recovery.recover_quorum(request, timeout_s=RECOVER_TIMEOUT_S)
    _tell_end(session.output, report, dry_run=False)
    return ExitCode.OK


def _ask(cluster: str) -> str:
    answer: str = click.prompt(f"To go on and lose what only the others have, type the name of the mesh ({cluster})")
    return answer.strip()


def _show(output: Output, report: recovery_pb2.RecoveryReport) -> None:
    for other in report.others:
        has = f"entries up to {other.last_index} of term {other.last_term}"
        answer = f"answers, has {has}" if other.answers else f"is silent: {other.failure}"
        output.note(f"{other.name} ({other.address}) {answer}")
    output.note(
        f"{report.node}, in term {report.term}, knows entries up to {report.commit_index} to be committed "
        f"and keeps them; it holds {report.last_index - report.commit_index} more, which it keeps too; its board is at "
        f"revision {report.revision}"
    )
    output.note(_loss(report))


def _loss(report: recovery_pb2.RecoveryReport) -> str:
    if report.HasField("leader_lost_time"):
        lost_at = report.leader_lost_time.ToDatetime(UTC)
        since_s = (datetime.now(UTC) - lost_at).total_seconds()
        when = f"{time_text(report.leader_lost_time)}, {since_s:.0f} s ago"
    else:
        when = f"before this node started, at {time_text(report.start_time)}"
    return (
        f"It lost touch with its leader {when}. What the others acknowledged after that, or just before and without "
        f"this node, is in entries behind {report.commit_index} that this node does not hold, and will be lost"
    )


def _tell_end(output: Output, report: recovery_pb2.RecoveryReport, *, dry_run: bool) -> None:
    if output.as_json:
        output.json(to_json(report) | {"dry_run": dry_run})
        return
    if report.refusal:
        output.error(f"refused: {report.refusal}")
        return
    would = "would be" if dry_run else "is now"
    output.data(f"{report.node} {would} the only voter of {report.cluster}, at revision {report.revision}")
    if dry_run:
        return
    output.note("Wipe the other nodes before they start again. " + _how_to_grow(report))


def _how_to_grow(report: recovery_pb2.RecoveryReport) -> str:
    if report.has_authority:
        return "Then let nodes join: weftmesh token create"
    return (
        "This node has not the mesh's authority, so nobody can join it and its certificate runs out: put "
        "identity/ca.key back from where you keep it, or take a backup (weftmesh backup) and restore it onto a new mesh"
    )
