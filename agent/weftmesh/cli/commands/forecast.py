"""`weftmesh forecast`: what a task will take and when it will be done, beside what the team's own history says."""

from __future__ import annotations

from datetime import UTC
from typing import Final

import click
from google.protobuf.timestamp_pb2 import Timestamp

from weftmesh.cli.encoding import to_json
from weftmesh.cli.options import command
from weftmesh.cli.output import Output
from weftmesh.cli.references import task_of
from weftmesh.cli.session import Session
from weftmesh.cli.tables import Column
from weftmesh.learning.v1 import learning_pb2

_PERCENTILES: Final = ("P50", "P85", "P95")
COLUMNS: Final = (
    Column("FORECAST"),
    *(Column(name, right=True) for name in _PERCENTILES),
    Column("FROM", flexible=True),
)


@command(None, "forecast")
@click.argument("task")
async def forecast(session: Session, task: str) -> None:
    """Forecast the effort of TASK in the team's own unit, and the days by which it will be done.

    A task takes no more than P85 with a chance of 85 %. Below each forecast is the baseline: what the team's own
    history says without a model. Days are in your time zone.
    """
    async with session.client() as client:
        name = await task_of(client, task)
        found = await client.learning.forecast_task(name, timeout_s=session.timeout_s)
    if session.output.as_json:
        session.output.json(to_json(found))
        return
    _show(session.output, found)


def _show(output: Output, found: learning_pb2.TaskForecast) -> None:
    output.table(COLUMNS, [*_effort_rows(found), *_finish_rows(found)])
    if found.effort.words:
        output.data("")
        rows = [[one.words, f"{one.weight:+.2f}"] for one in found.effort.words]
        output.table([Column("WHAT MOVED THE EFFORT", flexible=True), Column("BY", right=True)], rows)
        output.note("by: above 0 for more effort, in log-odds")
    for note in found.notes:
        output.note(note)


def _effort_rows(found: learning_pb2.TaskForecast) -> list[list[str]]:
    if not found.HasField("effort"):
        return []
    effort = found.effort
    labels = f"{effort.labels} done tasks"
    quantiles = [f"{value:g}" for value in (effort.p50, effort.p85, effort.p95)]
    if not effort.model_version:
        return [["effort, baseline", *quantiles, labels]]
    return [
        ["effort", *quantiles, f"version {effort.model_version} on {labels}"],
        ["effort, baseline", f"{effort.baseline:g}", "", "", f"median of {labels}"],
    ]


def _finish_rows(found: learning_pb2.TaskForecast) -> list[list[str]]:
    if not found.HasField("finish"):
        return []
    finish, rows = found.finish, []
    if finish.HasField("p50"):
        days = [_day(one) for one in (finish.p50, finish.p85, finish.p95)]
        rows.append(["finish", *days, f"version {finish.model_version}"])
    if finish.HasField("baseline_p50"):
        days = [_day(one) for one in (finish.baseline_p50, finish.baseline_p85, finish.baseline_p95)]
        rows.append(["finish, baseline", *days, f"{finish.labels} finished tasks"])
    return rows


def _day(time: Timestamp) -> str:
    return f"{time.ToDatetime(tzinfo=UTC).astimezone():%Y-%m-%d}"
