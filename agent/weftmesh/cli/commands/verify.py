"""`weftmesh verify`."""

from __future__ import annotations

from typing import Final

from weftmesh.cli.encoding import to_json
from weftmesh.cli.exit_codes import ExitCode
from weftmesh.cli.options import command
from weftmesh.cli.output import Output
from weftmesh.cli.session import Session
from weftmesh.cli.tables import Column
from weftmesh.cli.text import time_text
from weftmesh.mesh.v1 import audit_pb2

AUDIT_TIMEOUT_S: Final = 600.0
COLUMNS: Final = (Column("VOTER"), Column("RESULT", flexible=True), Column("MISSING", right=True), Column("STATE HASH"))

HASH_NOTE: Final = (
    "STATE HASH is of all that the log brought about: board, learning, agreements, roles, certificates; the board hash "
    "that `status` and `backup` show is of the board alone"
)


@command(None, "verify")
async def verify(session: Session) -> ExitCode:
    """Check that every voter has every write that any of them acknowledged, and the same state.

    Every node keeps a journal of the newest writes it acknowledged. Each voter's history is searched for all of them,
    and its rows are hashed again. Nodes do this by themselves once a night; `status` shows the last result.
    """
    async with session.client() as client:
        report = await client.audit.run_audit(timeout_s=AUDIT_TIMEOUT_S)
    if session.output.as_json:
        session.output.json(to_json(report))
    else:
        _show(session.output, report)
    return ExitCode.OK if report.passed else ExitCode.ERROR


def _show(output: Output, report: audit_pb2.AuditReport) -> None:
    rows = [[one.node, verdict(one), str(one.missing), one.state_hash] for one in report.voters]
    output.table(COLUMNS, rows)
    took_s = report.duration.ToNanoseconds() / 1e9
    output.note(
        f"{report.writes} acknowledged writes, revisions {report.first_revision} to {report.last_revision}; states "
        f"compared after entry {report.applied_index}; {took_s:.1f} s"
    )
    output.note(HASH_NOTE)
    for voter in report.voters:
        for missing in voter.missing_writes:
            output.error(f"{voter.node} lacks request {missing}")
    if report.passed:
        output.data("passed: every voter has every one of them, and the same state", "green")
        return
    output.error("FAILED")
    for voter in report.voters:
        if advice := advice_for(voter):
            output.error(advice)


def verdict(voter: audit_pb2.VoterAudit) -> str:
    """What was found on one voter, in a few words."""
    found = [f"did not answer: {voter.failure}"] if voter.failure else []
    found += ["lacks acknowledged writes"] if voter.missing else []
    found += ["its state is not what the others have"] if voter.state_differs else []
    found += ["its rows are not what its state hash says"] if voter.state_damaged else []
    return "; ".join(found) or "ok"


def advice_for(voter: audit_pb2.VoterAudit) -> str:
    """What to do about one voter; empty when nothing is wrong."""
    if voter.missing or voter.state_differs or voter.state_damaged:
        return (
            f"{voter.node}: keep its data directory for inspection. If the other voters are well, take it out "
            f"(`weftmesh members rm {voter.node}` on one of them), empty its data directory and join it again. If not, "
            "stop writing and take a backup first (`weftmesh backup`)"
        )
    if voter.failure:
        return f"{voter.node}: see that it runs (`weftmesh status` there) and verify again"
    return ""


def audit_line(report: audit_pb2.AuditReport) -> str:
    """The last audit in one line; empty before the first."""
    if not report.voters:
        return ""
    when = time_text(report.start_time)
    if report.passed:
        return f"passed at {when}: {report.writes} acknowledged writes on {len(report.voters)} voters"
    bad = [voter.node for voter in report.voters if verdict(voter) != "ok"]
    return f"FAILED at {when}: {', '.join(bad)}; run `weftmesh verify`"
