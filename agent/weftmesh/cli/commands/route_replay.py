"""`weftmesh route replay`: the decision log of this node under another policy. No router and no node is asked."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from weftmesh.cli.options import command
from weftmesh.cli.session import Session
from weftmesh.cli.tables import Column
from weftmesh.core.errors import ForbiddenError, NotFoundError

if TYPE_CHECKING:
    from weftmesh.core.routing.replay_summary import RouteReplay

ROUTER_DIRECTORY: Final = "router"
"""The router's state, in the node's data directory."""
PACKAGED: Final = Path("/var/lib/weftmesh-router")
"""The router's state where its unit runs it."""


@command(None, "replay")
@click.option("--policy", required=True, metavar="NAME", help="feedback, equal, capacity or latency.")
@click.option("--route", default="", help="One route.  [default: all]")
@click.option("--from", "starts", metavar="TIME", help="Leave out what is older: 2026-11-22T02:00, in UTC.")
@click.option(
    "--log",
    "directory",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Where the log is.  [default: that of this node's router]",
)
def replay(session: Session, policy: str, route: str, starts: str | None, directory: Path | None) -> None:
    """Take the decisions in this node's log again, as another policy would have taken them.

    Each decision is computed from the readings and orders of then, and from the table that the policy's own decisions
    before it left. Weights are those of the last decision, and means over all of them. Requests would have gone
    elsewhere and endpoints would have looked different then, which no log can tell.
    """
    from weftmesh.core.routing.replay import policy_named
    from weftmesh.core.routing.replay_summary import summaries
    from weftmesh.runtime.decision_log import DIRECTORY, DecisionReader

    decides = policy_named(policy)
    from_s = 0.0 if starts is None else _unix_s(starts)
    where = directory or _directory(session) / DIRECTORY
    reader = DecisionReader(where)
    try:
        found = summaries(reader.decisions(), decides, route, from_s)
    except FileNotFoundError:
        raise NotFoundError(f"there is no decision log in {where}; a router writes one while it runs") from None
    except PermissionError as error:
        raise ForbiddenError(f"{error.filename} may not be read; run this as root or as the router's user") from None
    if session.output.as_json:
        session.output.json(
            {"policy": policy, "routes": [asdict(one) for one in found], "unreadable": reader.unreadable}
        )
        return
    for one in found:
        _show(session, one, policy)
    if not found:
        session.output.note("the log has no such decisions")
    if reader.unreadable:
        session.output.note(f"{reader.unreadable} records are damaged or of a later release, and left out")


def _directory(session: Session) -> Path:
    """What this node's router keeps."""
    beside = session.config().node.data_dir / ROUTER_DIRECTORY
    packaged = session.config_path is None and not beside.exists() and PACKAGED.exists()
    return PACKAGED if packaged else beside


def _show(session: Session, one: RouteReplay, policy: str) -> None:
    gaps = f"; the log has {one.gaps} gaps" if one.gaps else ""
    session.output.data(
        f"{one.route}: {one.decisions} decisions from {_moment(one.from_s)} to {_moment(one.until_s)}, {one.differing} "
        f"differ; {one.moved_mean:.1%} of the weight moves, at most {one.moved_max:.1%}{gaps}"
    )
    titles = ("LOGGED", policy.upper(), "MEAN LOGGED", f"MEAN {policy.upper()}")
    columns = [Column("ENDPOINT"), *(Column(title, right=True) for title in titles)]
    rows = [
        [row.endpoint, *(f"{share:.1%}" for share in (row.logged, row.replayed, row.logged_mean, row.replayed_mean))]
        for row in one.endpoints
    ]
    session.output.table(columns, rows)


def _moment(unix_s: float) -> str:
    return f"{datetime.fromtimestamp(unix_s, UTC):%Y-%m-%d %H:%M:%SZ}"


def _unix_s(text: str) -> float:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a time; write 2026-11-22T02:00") from None
    return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()
