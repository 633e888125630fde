"""`weftmesh privacy`: what left this node, and whether the ledger that says so is whole."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final, cast

import click
from google.protobuf.timestamp_pb2 import Timestamp

from weftmesh.cli.chain_text import show_findings
from weftmesh.cli.durations import parse_duration
from weftmesh.cli.encoding import enum_word, to_json
from weftmesh.cli.exit_codes import ExitCode
from weftmesh.cli.options import command
from weftmesh.cli.output import Output
from weftmesh.cli.session import Session
from weftmesh.cli.sizes import size_text
from weftmesh.cli.tables import Column, one_line
from weftmesh.core.hash_chain import Head, parse_head
from weftmesh.privacy.v1 import privacy_pb2

READ_TIMEOUT_S: Final = 600.0
"""For the whole ledger, however long it is."""
CLASSES: Final = ("learning", "phone", "logs", "assets")
"""What concerns a person's health is in that person's own ledger."""
COLUMNS: Final = (
    Column("CLASS"),
    Column("PEER", flexible=True),
    Column("PAYLOADS", right=True),
    Column("SIZE", right=True),
    Column("FIRST"),
    Column("LAST"),
)


@click.group()
def privacy() -> None:
    """What left this node. Every payload is in the node's egress ledger before it is sent."""


@command(privacy, "report")
@click.option("--since", callback=parse_duration, help="Only the last 30m, 2h or 30d.  [default: all]")
@click.option("--class", "egress_class", type=click.Choice(CLASSES), help="Only payloads of this class.")
@click.option("--peer", default="", metavar="NAME", help="Only what this peer got.")
@click.option("--records", "include_records", is_flag=True, help="Every record, a line each, before the totals.")
async def report(
    session: Session, since: timedelta | None, egress_class: str | None, peer: str, include_records: bool
) -> None:
    """Show how much left this node, by class and peer.

    Ends with an anchor, SEQ:HASH. Note it somewhere else: `privacy verify --against` tells later whether everything up
    to it is still in the ledger as it was.
    """
    request = privacy_pb2.ReportEgressRequest(peer=peer, include_records=include_records)
    if since is not None:
        request.since_time.FromDatetime(datetime.now(UTC) - since)
    if egress_class is not None:
        number = privacy_pb2.EgressClass.Value(f"EGRESS_CLASS_{egress_class.upper()}")
        request.egress_class = cast("privacy_pb2.EgressClass", number)
    async with session.client() as client:
        async for part in client.privacy.report(request, timeout_s=READ_TIMEOUT_S):
            for record in part.records.records:
                _show_record(session.output, record)
            if part.HasField("report"):
                _show_report(session.output, part.report, on_one_line=include_records)


@command(privacy, "verify")
@click.option("--against", metavar="SEQ:HASH", help="Look for what an earlier report or the node's log noted, too.")
async def verify(session: Session, against: str | None) -> ExitCode:
    """Read the whole ledger of this node again and check that every record is there as it was written.

    Exits with 1 if anything does not fit, and says in which file and record.
    """
    anchor = None
    if against is not None:
        noted = parse_head(against)
        anchor = privacy_pb2.LedgerHead(sequence=noted.sequence, hash=noted.hash)
    async with session.client() as client:
        verification = await client.privacy.verify(anchor, timeout_s=READ_TIMEOUT_S)
    if session.output.as_json:
        session.output.json(to_json(verification))
    else:
        _show_verification(session.output, verification, against)
    return ExitCode.OK if verification.passed else ExitCode.ERROR


def _show_record(output: Output, record: privacy_pb2.EgressRecord) -> None:
    if output.as_json:
        output.json(to_json(record), line=True)
        return
    facts = (
        f"{record.sequence}  {local_time(record.time)}  {_word(record.egress_class)}  {size_text(record.size_bytes)}"
    )
    output.data(f"{facts}  to {one_line(record.peer)}: {one_line(record.why)}")


def _show_report(output: Output, report: privacy_pb2.EgressReport, *, on_one_line: bool) -> None:
    if output.as_json:
        output.json(to_json(report), line=on_one_line)
        return
    rows = [
        [
            _word(one.egress_class),
            one.peer,
            str(one.payloads),
            size_text(one.size_bytes),
            local_time(one.first_time),
            local_time(one.last_time),
        ]
        for one in report.totals
    ]
    if rows:
        output.table(COLUMNS, rows)
        payloads, size_bytes = sum(one.payloads for one in report.totals), sum(one.size_bytes for one in report.totals)
        output.note(f"payloads: {payloads}, {size_text(size_bytes)} in all; times are local")
    else:
        output.note("nothing that fits left this node")
    output.data(f"anchor: {_anchor(report.head)}")
    if report.unreadable_parts:
        output.error(f"{report.unreadable_parts} parts of the ledger cannot be read: run `weftmesh privacy verify`")


def _show_verification(output: Output, found: privacy_pb2.LedgerVerification, against: str | None) -> None:
    show_findings(output, found)
    if found.passed:
        noted = f", up to and after record {against.partition(':')[0]} that was noted" if against else ""
        output.data(f"passed: every record is there as it was written{noted}", "green")
        return
    output.error(
        "FAILED: keep egress/ in the node's data directory for inspection; what the ledger says of the time around "
        "these places cannot be relied on"
    )


def _word(number: int) -> str:
    return enum_word(privacy_pb2.EgressClass.DESCRIPTOR, number)


def _anchor(head: privacy_pb2.LedgerHead) -> str:
    return str(Head(head.sequence, head.hash))


def local_time(time: Timestamp) -> str:
    """A moment in the zone of whoever reads, to the second."""
    return f"{time.ToDatetime(tzinfo=UTC).astimezone():%Y-%m-%d %H:%M:%S}"
