"""What a forecast costs: processor time of each part, for the largest team of the export."""

from __future__ import annotations

import time
from collections.abc import Callable

from benchmarks.finish_time.export import Team
from benchmarks.finish_time.rounds import trained
from benchmarks.report import Row
from weftmesh.core.forecast.finish import forecast_finish
from weftmesh.core.forecast.finish_averaging import server_step
from weftmesh.core.forecast.finish_features import TeamHistory
from weftmesh.core.forecast.finish_pace import team_pace
from weftmesh.learner.finish.data import finish_data
from weftmesh.learner.finish.training import train_round

FORECASTS = 1_000


def measure(teams: list[Team], now_s: float) -> list[Row]:
    """Print and return the processor time of each part, at a moment in Unix seconds."""
    model = trained(teams, now_s)
    known = [[record for record in team.records if record.task.times.created_s <= now_s] for team in teams]
    largest = max(known, key=len)
    tasks = [record.task for record in largest]
    records = [(record.task.times, record.features) for record in largest]
    history = TeamHistory(tasks)
    pace = team_pace(model, records, now_s)
    data = finish_data(tasks, history, now_s)
    contribution = train_round(data, model)
    parts: list[tuple[str, int, Callable[[], object]]] = [
        ("features of a task", len(tasks), lambda: [history.features(task) for task in tasks]),
        (f"rates of a team of {len(tasks)} tasks", 1, lambda: team_pace(model, records, now_s)),
        ("forecast", FORECASTS, lambda: [forecast_finish(model, pace, one) for _, one in records[:FORECASTS]]),
        ("a node's part of a round", 1, lambda: train_round(data, model)),
        ("the coordinator's step", 1, lambda: server_step(model, contribution.vector.tolist())),
    ]
    rows = []
    for name, count, part in parts:
        begun = time.process_time()
        part()
        used_us = (time.process_time() - begun) / count * 1e6
        print(f"{name:36} {used_us:12,.0f} us")
        rows.append(Row(name, "processor time", used_us, "us"))
    return rows
