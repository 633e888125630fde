"""`weftmesh learn status`, `dry-run` and `history`: what is learned, and what of this node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import click

from weftmesh.cli.encoding import to_json
from weftmesh.cli.learning_text import NO_LEARNER, has_learner, learning_json, spec_of, stamp_text, word
from weftmesh.cli.noise_text import budget_text, is_spent
from weftmesh.cli.options import command
from weftmesh.cli.output import Output
from weftmesh.cli.session import Session
from weftmesh.cli.sizes import size_text
from weftmesh.cli.tables import Column
from weftmesh.core.errors import NotFoundError
from weftmesh.core.learning.model import RoundStage, VersionStage
from weftmesh.core.learning.outcomes import Verb
from weftmesh.learning.v1 import learning_pb2, row_pb2

HISTORY_DEFAULT: Final = 20
LOSSES: Final[Mapping[str, str]] = {
    "effort": (
        "loss: mean error on labels that were not trained on, over each team's mean absolute deviation; baseline: the "
        "same of the teams' medians"
    ),
    "finish": (
        "loss: pinball loss of P50, P85 and P95 on tasks that were not trained on, over each team's mean cycle time; "
        "baseline: the same of the teams' own last finished tasks"
    ),
}
"""What an evaluation adds up, by head."""
ROW_SHOWN: Final = 20
"""Columns of an example row; --json has all."""


@command(None, "status")
async def status(session: Session) -> None:
    """Show each job: how far it is, which version forecasts, who takes part."""
    async with session.client() as client:
        view = await client.learning.get_learning(timeout_s=session.timeout_s)
    if session.output.as_json:
        session.output.json(learning_json(view))
        return
    _show_jobs(session.output, view)
    if view.jobs and not has_learner(session.target()):
        session.output.note(NO_LEARNER)


@command(None, "history")
@click.argument("job")
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=HISTORY_DEFAULT, show_default=True, help="The newest so many."
)
async def history(session: Session, job: str, limit: int) -> None:
    """Show the versions of JOB with what their evaluations found, and what happened."""
    async with session.client() as client:
        request = learning_pb2.GetLearningRequest(job=job, limit=limit)
        view = await client.learning.get_learning(request, timeout_s=session.timeout_s)
    if not view.jobs:
        raise NotFoundError(f"there is no job {job}; see `weftmesh learn status`")
    if session.output.as_json:
        session.output.json(learning_json(view))
        return
    _show_versions(session.output, view)
    session.output.data("")
    _show_events(session.output, view)


@command(None, "dry-run")
@click.argument("job")
async def dry_run(session: Session, job: str) -> None:
    """Show what a round of JOB would read and send of this node; nothing is sent.

    The example row and its words are shown to you alone. What leaves are the messages at the end: keys, encrypted
    shares and masked sums.
    """
    async with session.client() as client:
        report = await client.learning.dry_run(job, timeout_s=session.timeout_s)
    if session.output.as_json:
        session.output.json(to_json(report))
        return
    _show_report(session.output, report)


def _show_jobs(output: Output, view: learning_pb2.Learning) -> None:
    columns = [
        Column("JOB"),
        Column("FORECASTS"),
        *(Column(name, right=True) for name in ("VERSION", "GOAL", "ACTIVE")),
    ]
    rows = []
    for job in view.jobs:
        spec = spec_of(job)
        active = str(job.active_version or "none")
        rows.append([job.name, spec.head, str(job.newest_version), str(spec.goal_version), active, _state(view, job)])
    output.table([*columns, Column("STATE", flexible=True)], rows)
    out = [f"{one.node} ({one.job or 'every job'})" for one in view.opt_outs]
    output.pairs(
        [
            ("can be asked", ", ".join(view.contributors) or "nobody"),
            ("opted out", ", ".join(out)),
            ("trained here", ", ".join(view.trained_projects) or "no project"),
            *((f"privacy of {job.name}", budget_text(job)) for job in view.jobs),
        ]
    )
    if not view.jobs:
        output.note("nothing is learned yet: `weftmesh learn dry-run effort`, then `weftmesh learn run effort`")


def _state(view: learning_pb2.Learning, job: row_pb2.Job) -> str:
    if not job.enabled:
        return "disabled"
    if job.round_id:
        stage = next((one.stage for one in view.rounds if one.id == job.round_id), int(RoundStage.OPEN))
        return f"a round is under way ({word(RoundStage, stage)})"
    if is_spent(job):
        return "its privacy budget is used up"
    missing = job.contributors_floor - len(view.contributors)
    if job.newest_version >= spec_of(job).goal_version:
        return "at its goal"
    return f"waits for {missing} more contributors" if missing > 0 else "goes on"


def _show_versions(output: Output, view: learning_pb2.Learning) -> None:
    columns = [Column("VERSION", right=True), Column("STAGE"), Column("FROM", right=True), Column("NODES", right=True)]
    columns += [Column("LOSS", right=True), Column("BASELINE", right=True), Column("ADDED")]
    found = {(one.job, one.version): one for one in view.evaluations}
    rows = []
    for one in view.versions:
        losses = _losses(found.get((one.job, one.number)))
        stage, parent = word(VersionStage, one.stage), str(one.parent or "")
        rows.append([str(one.number), stage, parent, str(one.contributors or ""), *losses, stamp_text(one.added_stamp)])
    output.table(columns, rows)
    if meaning := LOSSES.get(spec_of(view.jobs[0]).head):
        output.note(meaning)


def _losses(found: row_pb2.Evaluation | None) -> tuple[str, str]:
    """Of the model and of the baseline, per example, all heads together; empty before an evaluation."""
    examples = sum(one.examples for one in found.heads) if found is not None else 0.0
    if found is None or not examples:
        return "", ""
    sums = (sum(one.model_loss for one in found.heads), sum(one.baseline_loss for one in found.heads))
    return f"{sums[0] / examples:.4f}", f"{sums[1] / examples:.4f}"


def _show_events(output: Output, view: learning_pb2.Learning) -> None:
    columns = [Column("TIME"), Column("WHAT"), Column("VERSION", right=True), Column("NODE")]
    columns += [Column("BY", flexible=True), Column("NOTE", flexible=True)]
    rows = [
        [stamp_text(one.stamp), word(Verb, one.verb), str(one.version or ""), one.node, one.actor, one.note]
        for one in view.events
    ]
    output.table(columns, rows)


def _show_report(output: Output, report: learning_pb2.DryRunReport) -> None:
    projects = [[one.project_id, str(one.labelled_tasks)] for one in report.projects]
    output.table([Column("PROJECT"), Column("LABELLED TASKS", right=True)], projects)
    output.data("")
    columns = [one.split(": ", 1) for one in report.columns]
    output.table([Column("COLUMN", right=True), Column("WHAT IT COUNTS", flexible=True)], columns)
    output.data("")
    if report.example_key:
        _show_example(output, report)
    else:
        output.note("no labelled task would be trained on here, so there is no example")
    rows = [[one.message, size_text(one.size_bytes)] for one in report.sizes]
    output.table([Column("WOULD LEAVE THIS NODE", flexible=True), Column("AT MOST", right=True)], rows)
    output.note(f"in one round of {report.contributors} contributors; nothing was sent")


def _show_example(output: Output, report: learning_pb2.DryRunReport) -> None:
    output.data(f"{report.example_key} as a row; its words stay here")
    cells = list(zip(report.example_indices, report.example_values, report.example_words, strict=True))
    cells.sort(key=lambda cell: -abs(cell[1]))
    rows = [[str(index), f"{value:+.4f}", words.words] for index, value, words in cells[:ROW_SHOWN]]
    output.table([Column("COLUMN", right=True), Column("VALUE", right=True), Column("OF", flexible=True)], rows)
    if len(cells) > ROW_SHOWN:
        output.note(f"the {ROW_SHOWN} largest of {len(cells)} columns; --json shows all")
    output.data("")
