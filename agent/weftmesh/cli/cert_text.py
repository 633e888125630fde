"""Certificates and the authority's rotation, as people read them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from weftmesh.cli.output import Output
from weftmesh.cli.tables import Column
from weftmesh.cli.text import time_text
from weftmesh.mesh.v1 import trust_pb2

PIN_SHOWN: Final = 16
"""Digits of a fingerprint: enough to tell two apart."""
_DAY_S: Final = 86_400
_STEPS: Final = {
    "begin": "a new authority is made here; every member comes to trust both",
    "issue": "the new one signs from now on; every member renews its certificate, nothing restarts",
    "finish": "the old one is trusted no more, and its key is deleted",
}
_PHASES: Final = {"none": 0, "begun": 1, "issued": 2}


def days_left(shown: trust_pb2.ShownCertificate) -> str:
    """How long a certificate is in force from now, such as `6.9 d`."""
    if not shown.HasField("not_after"):
        return ""
    left = (shown.not_after.ToDatetime(UTC) - datetime.now(UTC)).total_seconds() / _DAY_S
    return f"{left:.1f} d"


def show_one(output: Output, shown: trust_pb2.ShownCertificate) -> None:
    """Everything about one certificate."""
    output.data(f"node       {shown.node}")
    output.data(f"serial     {shown.serial}")
    output.data(f"in force   {time_text(shown.not_before)} to {time_text(shown.not_after)}, {days_left(shown)} left")
    output.data(f"chain      {' < '.join(shown.chain)}")
    output.data(f"authority  {shown.authority}")
    output.data(f"trusts     {', '.join(shown.trusted)}")
    output.data(f"key        {shown.key_sha256}")
    output.data(f"source     {'files' if shown.from_files else 'the mesh itself'}")


def show_certificates(
    output: Output, view: trust_pb2.CertificatesView, shown: list[trust_pb2.ShownCertificate]
) -> None:
    """A line for each member, each authority and each revocation."""
    rows = [
        [one.node, one.serial, time_text(one.not_after), days_left(one), one.authority[:PIN_SHOWN]]
        if one.serial
        else [one.node, "does not answer", "", "", ""]
        for one in shown
    ]
    columns = [Column("NODE"), Column("SERIAL"), Column("UNTIL"), Column("LEFT", right=True), Column("AUTHORITY")]
    output.table(columns, rows)
    output.note("")
    output.table(
        [Column("AUTHORITY"), Column("STATE"), Column("UNTIL")],
        [[one.sha256[:PIN_SHOWN], one.state, time_text(one.not_after)] for one in view.authorities],
    )
    if view.phase != "none":
        output.note(f"the authority is being replaced, phase {view.phase}; see: weftmesh cert rotate-ca --dry-run")
    if view.revocations:
        output.note("")
        columns = [Column("REVOKED"), Column("SERIAL"), Column("WHEN"), Column("BY"), Column("WHY", flexible=True)]
        output.table(columns, [_revoked(one) for one in view.revocations])


def _revoked(one: trust_pb2.RevocationView) -> list[str]:
    which = one.serial or ("all but its new key's" if one.readmitted else "all")
    return [one.node, which, time_text(one.time), one.actor, one.reason]


def show_rotation(output: Output, view: trust_pb2.RotationView, *, over: bool = False) -> None:
    """What each step does, which are done, and what stands in the way of the next; after the last, what is left."""
    if not over:
        _show_steps(output, view)
    for one in view.authorities:
        output.note(f"authority {one.sha256[:PIN_SHOWN]} {one.state}, in force until {time_text(one.not_after)}")
    if view.phase != "issued" and view.live_tokens and not over:
        output.note(
            f"{view.live_tokens} join tokens live here: their lines name the present authority, and are refused after "
            "`issue`; make new ones then"
        )


def _show_steps(output: Output, view: trust_pb2.RotationView) -> None:
    done = _PHASES[view.phase]
    rows = []
    for number, (step, what) in enumerate(_STEPS.items()):
        state = "done" if number < done else _obstacle(view, step) if number == done else "later"
        rows.append([step, state, what])
    output.table([Column("STEP"), Column("STATE"), Column("WHAT", flexible=True)], rows)


def _obstacle(view: trust_pb2.RotationView, step: str) -> str:
    if step != "finish" and not view.has_authority:
        return "only on the node that has the authority"
    if step == "begin":
        return "ready"
    waiting = view.not_trusting if step == "issue" else view.not_certified
    return f"waits for {', '.join(waiting)}" if waiting else "ready"
