"""`weftmesh audit`: who did or tried what on this node, and whether the log that says so is whole.

Whether every acknowledged write is still there is another question: `weftmesh verify`.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import click

from weftmesh.access.v1 import audit_log_pb2
from weftmesh.cli.chain_text import show_findings
from weftmesh.cli.durations import parse_duration
from weftmesh.cli.encoding import to_json
from weftmesh.cli.exit_codes import ExitCode
from weftmesh.cli.options import command
from weftmesh.cli.output import Output
from weftmesh.cli.session import Session
from weftmesh.cli.tables import one_line
from weftmesh.core.hash_chain import Head, parse_head
from weftmesh.runtime.files import replacing

READ_TIMEOUT_S: Final = 600.0
NEWEST_DEFAULT: Final = 50


@click.group()
def audit() -> None:
    """Who did or tried what on this node. For admins of the mesh, and root of the node."""


def _filters(function: Any) -> Any:
    for option in (
        click.option("--denied", is_flag=True, help="Only what was refused."),
        click.option("--project", default="", metavar="ID", help="Only about this project."),
        click.option("--actor", default="", metavar="NAME", help="Only of this one, such as ann@node1 or node:node2."),
    ):
        function = option(function)
    return function


@command(audit, "ls")
@click.option("-n", "newest", type=click.IntRange(min=0), default=NEWEST_DEFAULT, show_default=True, help="0 for all.")
@click.option("--since", callback=parse_duration, help="Only the last 30m, 2h or 30d.")
@_filters
async def ls(session: Session, newest: int, since: timedelta | None, actor: str, project: str, denied: bool) -> None:
    """Show the newest records; with --json one object a line, as they are stored."""
    request = _request(since, actor, project, denied)
    request.newest = newest
    found = False
    async with session.client() as client:
        async for record in client.audit_log.read(request, timeout_s=READ_TIMEOUT_S):
            show_record(session.output, record)
            found = True
    if not found:
        session.output.note("the audit log of this node has no record that fits")


@command(audit, "tail")
@_filters
async def tail(session: Session, actor: str, project: str, denied: bool) -> None:
    """Show the newest records, then each new one, until you stop it."""
    request = _request(None, actor, project, denied)
    request.newest, request.follow = 10, True
    async with session.client() as client:
        async for record in client.audit_log.read(request):
            show_record(session.output, record)


@command(audit, "verify")
@click.option("--against", metavar="SEQ:HASH", help="Look for what was noted earlier, such as by the node's own log.")
async def verify(session: Session, against: str | None) -> ExitCode:
    """Read the whole audit log of this node again and check that every record is there as it was written.

    Exits with 1 if anything does not fit, and says in which file and record.
    """
    anchor = None
    if against is not None:
        noted = parse_head(against)
        anchor = audit_log_pb2.AuditLogHead(sequence=noted.sequence, hash=noted.hash)
    async with session.client() as client:
        found = await client.audit_log.verify(anchor, timeout_s=READ_TIMEOUT_S)
    if session.output.as_json:
        session.output.json(to_json(found))
    else:
        _show_verification(session.output, found)
    return ExitCode.OK if found.passed else ExitCode.ERROR


@command(audit, "export")
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--since", callback=parse_duration, help="Only the last 30m, 2h or 30d.")
@_filters
async def export(session: Session, path: Path, since: timedelta | None, actor: str, project: str, denied: bool) -> None:
    """Write records to PATH, a line each, as they are stored: `prev` is the SHA-256 of the line before."""
    count, head = 0, Head(0, b"")
    async with session.client() as client:
        with replacing(path) as stream:
            request = _request(since, actor, project, denied)
            async for record in client.audit_log.read(request, timeout_s=READ_TIMEOUT_S):
                stream.write(record.payload.encode() + b"\n")
                count, head = count + 1, Head(record.sequence, record.hash)
    if session.output.as_json:
        session.output.json({"path": str(path), "records": count, "anchor": str(head) if count else ""})
        return
    session.output.data(f"{count} records in {path}" + (f"; anchor: {head}" if count else ""))
    if actor or project or denied:
        session.output.note("records that do not fit were left out, so that the chain in this file has gaps")


def _request(since: timedelta | None, actor: str, project: str, denied: bool) -> audit_log_pb2.ReadAuditLogRequest:
    request = audit_log_pb2.ReadAuditLogRequest(actor=actor, project=project, denied_only=denied)
    if since is not None:
        request.since_time.FromDatetime(datetime.now(UTC) - since)
    return request


def show_record(output: Output, record: audit_log_pb2.AuditRecord) -> None:
    """Print a record, on one line."""
    fields: dict[str, Any] = json.loads(record.payload)
    if output.as_json:
        output.json(fields, line=True)
        return
    when = f"{datetime.fromtimestamp(fields['time_us'] / 1e6).astimezone():%Y-%m-%d %H:%M:%S}"
    if fields["kind"] != "call":
        output.data(one_line(f"{fields['seq']}  {when}  {fields['kind']}: {fields.get('why', '')}"))
        return
    what = " ".join(
        str(part)
        for part in (
            fields["method"],
            fields.get("target") or fields.get("project", ""),
            ",".join(fields.get("fields", [])),
        )
        if part
    )
    outcome = " ".join(one for one in (fields["outcome"], fields.get("reason", "")) if one)
    repeats = f" (and {fields['repeats']} times more)" if fields.get("repeats") else ""
    basis = fields.get("basis", "")
    by = f" by {basis}" if basis not in ("", "open") else ""
    line = f"{fields['seq']}  {when}  {fields['actor'] or '-'} [{fields['from']}]  {what}  {outcome}{by}{repeats}"
    output.data(one_line(line), "bold red" if fields["outcome"] == "denied" else "")


def _show_verification(output: Output, found: audit_log_pb2.AuditLogVerification) -> None:
    show_findings(output, found, f", from record {found.first_sequence} on" if found.first_sequence > 1 else "")
    if found.lost:
        output.error(f"{found.lost} records could not be written since the node started; see its log")
    if found.passed:
        output.data("passed: every record is there as it was written", "green")
        return
    output.error("FAILED: keep audit/ in the node's data directory for inspection")
