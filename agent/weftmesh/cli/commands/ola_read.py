"""`weftmesh ola ls`, `show`, `status`, `explain` and `graph`: what is agreed, and how it is doing."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

import click

from weftmesh.cli.encoding import to_json
from weftmesh.cli.learning_text import stamp_text
from weftmesh.cli.options import command
from weftmesh.cli.output import Output
from weftmesh.cli.session import Session
from weftmesh.cli.tables import Column
from weftmesh.core.errors import NotFoundError

if TYPE_CHECKING:
    from weftmesh.client.ola_status import Judged

LEFT_OUT_SHOWN: Final = 10
"""The newest so many times that do not count; --json of `status` has their sums."""
MILLISECONDS: Final = 1_000


@command(None, "ls")
async def ls(session: Session) -> None:
    """List the agreements in force."""
    from weftmesh.cli.ola_text import summary
    from weftmesh.client.ola_status import held_agreements

    async with session.client() as client:
        view = await client.ola.get_agreements(timeout_s=session.timeout_s)
    if session.output.as_json:
        session.output.json(to_json(view))
        return
    columns = [Column("NAME"), Column("GENERATION", right=True), *map(Column, ("CLASS", "PROVIDER", "CONSUMER"))]
    rows = [
        [
            held.generation.name,
            str(held.generation.number),
            held.service_class.name.lower() + ("*" if held.standing.raised_to else ""),
            held.agreement.provider,
            held.agreement.consumer,
            summary(held.agreement),
        ]
        for held in held_agreements(view)
    ]
    session.output.table([*columns, Column("PROMISES", flexible=True)], rows)
    if any("*" in row[2] for row in rows):
        session.output.note("* raised while it burns its budget; `weftmesh ola explain` says why")


@command(None, "show")
@click.argument("name")
@click.option("--generation", type=click.IntRange(min=1), help="An earlier one.  [default: the newest]")
async def show(session: Session, name: str, generation: int | None) -> None:
    """Show what NAME says, with what was added to it and what happened to it."""
    from weftmesh.cli.ola_text import event_line, exclusion_line
    from weftmesh.core.ola.plan_changes import described
    from weftmesh.core.ola.replicated.outcomes import OlaEvent
    from weftmesh.core.ola.replicated.rows import AddedExclusion
    from weftmesh.ola.v1 import ola_pb2
    from weftmesh.runtime.wire.learning_records import read
    from weftmesh.runtime.wire.ola_agreements import agreement_of

    request = ola_pb2.GetAgreementsRequest(name=name, all_generations=True)
    async with session.client() as client:
        view = await client.ola.get_agreements(request, timeout_s=session.timeout_s)
    found = next((one for one in reversed(view.generations) if generation in (None, one.number)), None)
    if found is None:
        kept = ", ".join(str(one.number) for one in view.generations) or "none"
        raise NotFoundError(f"{name!r} has no such generation; these are kept: {kept}")
    if session.output.as_json:
        others = {name: to_json(view)[name] for name in ("standings", "exclusions", "breaches", "events")}
        session.output.json(to_json(found) | others)
        return
    output, standing = session.output, view.standings[0]
    output.data(f"{name} generation {found.number}, applied by {found.actor} at {stamp_text(found.stamp)}")
    if standing.retired:
        output.data(f"retired: {standing.retired_why}")
    for field, text in described(agreement_of(found.agreement)):
        output.data(f"  {field}: {text}")
    for one in view.exclusions:
        output.data(exclusion_line(one.number, read(AddedExclusion, one).exclusion))
    for event in view.events:
        if event.subject == name:
            output.data(event_line(read(OlaEvent, event)))


@command(None, "status")
@click.argument("names", nargs=-1, metavar="[NAME]...")
async def status(session: Session, names: tuple[str, ...]) -> None:
    """Show each objective's error budget and how fast it is spent; of the agreements named, or of all.

    LEFT leaves out exclusions and closed hours, ALL does not. A rate of 1x spends the budget just over the window; few
    says that there were too few events to tell. CONFIRMED says how many windows of the last hour their nodes signed:
    wrong are signatures that are not of the node, unknown those of nodes that cannot be asked for their certificates.
    """
    from weftmesh.cli.ola_text import stale_line, status_json, status_row

    found = await _judged(session, names)
    if session.output.as_json:
        session.output.json({"agreements": [status_json(one) for one in found]})
        return
    titles = ("TARGET", "HEALTH", "ATTAINED", "LEFT", "ALL", "1H", "6H", "3D")
    columns = [Column("AGREEMENT"), Column("OBJECTIVE"), *(Column(one, right=one != "HEALTH") for one in titles)]
    columns.append(Column("CONFIRMED"))
    session.output.table(columns, [status_row(one, objective) for one in found for objective in one.status.objectives])
    for line in dict.fromkeys(map(stale_line, found)):
        if line:
            session.output.note(line)


@command(None, "explain")
@click.argument("name")
async def explain(session: Session, name: str) -> None:
    """Say why NAME is or is not burning its budget: objectives, windows, nodes, exclusions, class."""
    from weftmesh.cli.ola_text import status_json

    (found,) = await _judged(session, (name,))
    if session.output.as_json:
        session.output.json(status_json(found) | {"nodes": _nodes(found)})
        return
    _show_explanation(session.output, found)


@command(None, "graph")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--mermaid", "form", flag_value="mermaid", default=True, help="As Mermaid.  [default]")
@click.option("--dot", "form", flag_value="dot", help="As DOT, for Graphviz.")
@click.option("--svg", "form", flag_value="svg", help="As SVG, which a browser shows.")
async def graph(session: Session, names: tuple[str, ...], form: str) -> None:
    """Print the workflow of the agreements named, or of all: probe, aggregate, evaluate, decide, apply, confirm."""
    from weftmesh.client.ola_status import held_agreements
    from weftmesh.core.workflow.building import workflow
    from weftmesh.core.workflow.drawing import dot, mermaid
    from weftmesh.core.workflow.svg import svg

    async with session.client() as client:
        view = await client.ola.get_agreements(timeout_s=session.timeout_s)
    held = {one.generation.name: one.agreement for one in held_agreements(view)}
    for name in names:
        if name not in held:
            raise NotFoundError(f"no agreement {name!r} is in force; see `weftmesh ola ls`")
    made = workflow(held[name] for name in dict.fromkeys(names or held))
    text = {"mermaid": mermaid, "dot": dot, "svg": svg}[form](made)
    if session.output.as_json:
        session.output.json({"sha256": made.sha256, "form": form, "text": text})
    else:
        session.output.data(text.rstrip("\n"))


async def _judged(session: Session, names: tuple[str, ...]) -> list[Judged]:
    from weftmesh.client.ola_status import judge
    from weftmesh.runtime.clock import wall_ms

    async with session.client() as client:
        now_s = wall_ms() // MILLISECONDS
        return await judge(client.ola, now_s, names, check_signatures=True, timeout_s=session.timeout_s)


def _show_explanation(output: Output, found: Judged) -> None:
    from weftmesh.cli.ola_text import doubt_lines, end_line, moment, stale_line

    held = found.held
    raised = f", raised: {held.standing.raised_why}" if held.standing.raised_to else ", as agreed"
    output.data(f"{held.generation.name}: class {held.service_class.name.lower()}{raised}")
    for one in found.status.objectives:
        output.data(f"{one.objective.key}: {one.health.name.lower().replace('_', ' ')}; {one.reason}")
        if end := end_line(one):
            output.data(end)
        for breach in held.breaches:
            if breach.objective == one.objective.key:
                ended = moment(breach.ended_s) if breach.ended_s else "now"
                output.data(f"  breached from {moment(breach.started_s)} to {ended}: {breach.evidence}")
    if stale := stale_line(found):
        output.data(stale)
    nodes = _nodes(found)
    if nodes:
        output.data("the last hour, by node:")
        columns = [Column("NODE"), Column("OBJECTIVE"), Column("BAD", right=True), Column("TOTAL", right=True)]
        rows = [[one["node"], one["objective"], str(one["total"] - one["good"]), str(one["total"])] for one in nodes]
        output.table(columns, rows)
    for node in sorted({one.node for one in found.history.missing}):
        windows = [moment(one.starts_s) for one in found.history.missing if one.node == node]
        output.data(f"{node} did not confirm {len(windows)} windows, the latest from {max(windows)}")
    for line in doubt_lines(found.history):
        output.data(line)
    _show_left_out(output, found)


def _show_left_out(output: Output, found: Judged) -> None:
    from weftmesh.cli.ola_text import left_out_lines
    from weftmesh.core.ola.calendar import Calendar

    agreement = found.held.agreement
    calendar = Calendar(agreement.hours, (*agreement.exclusions, *found.held.exclusions_added))
    left_out = calendar.left_out(found.status.at_s - agreement.window_s, found.status.at_s)
    for line in left_out_lines(left_out, LEFT_OUT_SHOWN):
        output.data(line)


def _nodes(found: Judged) -> list[dict[str, Any]]:
    """What each node counted in the last hour, by objective."""
    sums: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for window in found.history.windows:
        for count in window.counts:
            pair = sums[count.objective, window.node]
            pair[0] += count.good
            pair[1] += count.total
    return [
        {"node": node, "objective": objective, "good": good, "total": total}
        for (objective, node), (good, total) in sorted(sums.items())
    ]
