"""`weftmesh route table` and `explain`: where requests go on this node, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from weftmesh.cli.encoding import enum_word, to_json
from weftmesh.cli.options import command
from weftmesh.cli.output import Output
from weftmesh.cli.session import Session
from weftmesh.cli.tables import Column

if TYPE_CHECKING:
    from weftmesh.routing.v1 import routing_pb2


@command(None, "table")
@click.argument("routes", nargs=-1, metavar="[ROUTE]...")
async def table(session: Session, routes: tuple[str, ...]) -> None:
    """Show the tables of this node's router: of the routes named, or of all.

    WEIGHT is in force. PROPOSED is what the latest decision came to, where the mode or a freeze keeps it from effect.
    """
    from weftmesh.client.routing import connect_router, router_target

    async with connect_router(router_target(session.target())) as router:
        found = await router.get_routes(routes)
    if session.output.as_json:
        session.output.json({"routes": [to_json(one) for one in found]})
        return
    columns = [Column("ROUTE"), Column("MODE"), Column("ENDPOINT"), Column("ADDRESS"), Column("WEIGHT", right=True)]
    columns += [Column("PROPOSED", right=True), Column("CONDITION"), Column("WHY", flexible=True)]
    session.output.table(columns, [line for one in found for line in _lines(one)])
    _note_staleness(session.output, found)


@command(None, "explain")
@click.argument("name", metavar="ROUTE")
async def explain(session: Session, name: str) -> None:
    """Say why ROUTE's table is what it is: orders, what each endpoint looks like from here, probes, decisions."""
    from weftmesh.client.routing import connect_router, router_target

    async with connect_router(router_target(session.target())) as router:
        found = await router.explain_route(name, timeout_s=session.timeout_s)
    if session.output.as_json:
        session.output.json(to_json(found))
        return
    output = session.output
    one = found.table
    output.data(f"{one.route} by {', '.join(one.agreements)}; class {_class(one)}; table {one.version}")
    output.data(f"answers are late after {found.settings.threshold_s * 1e3:g} ms")
    for line in found.refused:
        output.data(f"not followed: {line}")
    output.data("")
    _show_readings(output, found)
    output.data("")
    _show_probes(output, found)
    output.data("")
    output.data(found.story)
    _note_staleness(output, [one])


def _lines(one: routing_pb2.RouteTable) -> list[list[str]]:
    mode = f"{one.mode}, frozen" if one.frozen else one.mode
    return [
        [
            one.route,
            mode,
            row.endpoint,
            row.address,
            f"{row.weight:.1%}",
            "" if abs(row.proposed - row.weight) < 0.0005 else f"{row.proposed:.1%}",
            row.condition,
            f"{row.reason}: {row.detail}" if row.detail else row.reason,
        ]
        for row in one.rows
    ]


def _show_readings(output: Output, found: routing_pb2.RouteExplanation) -> None:
    titles = ("WEIGHT", "WORKS MS", "AWAY MS", "SURELY BAD", "OF", "HOLDS")
    columns = [Column("ENDPOINT"), *(Column(one, right=True) for one in titles), Column("PROBES")]
    weights = {row.endpoint: row.weight for row in found.table.rows}
    rows = [
        [
            one.endpoint,
            f"{weights.get(one.endpoint, 0.0):.1%}",
            f"{one.service_s * 1e3:.1f}",
            f"{one.rtt_s * 1e3:.1f}",
            f"{one.bad_lower:.1%}",
            f"{one.samples:.0f}",
            f"{one.in_flight:.1f}",
            "answered" if one.alive else "not answered",
        ]
        for one in found.readings
    ]
    output.table(columns, rows)


def _show_probes(output: Output, found: routing_pb2.RouteExplanation) -> None:
    from weftmesh.ola.v1 import agreement_pb2

    if not found.probes:
        output.data("no probes are agreed: the router hears of endpoints by reports alone")
        return
    columns = [Column("ENDPOINT"), Column("PROBE"), Column("SENT", right=True), Column("ANSWERED", right=True)]
    columns += [Column("LAST MS", right=True), Column("PROBLEM", flexible=True)]
    rows = [
        [
            one.endpoint,
            enum_word(agreement_pb2.ProbeKind.DESCRIPTOR, one.kind),
            str(one.sent),
            str(one.answered),
            f"{one.last_rtt_us / 1e3:.2f}" if one.HasField("last_rtt_us") else "",
            one.problem,
        ]
        for one in found.probes
    ]
    output.table(columns, rows)


def _class(one: routing_pb2.RouteTable) -> str:
    from weftmesh.ola.v1 import agreement_pb2

    return enum_word(agreement_pb2.ServiceClass.DESCRIPTOR, one.service_class)


def _note_staleness(output: Output, found: list[routing_pb2.RouteTable]) -> None:
    stale_ms = max((one.stale_ms for one in found), default=0)
    if stale_ms:
        output.note(
            f"the router has not heard of a leader for {stale_ms / 1e3:.0f} s: agreements and orders may be old"
        )
