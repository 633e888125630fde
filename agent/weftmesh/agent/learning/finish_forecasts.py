"""When a task will be done: the shared model's hazards, at the pace of the team's tasks on this node's board."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from google.protobuf.timestamp_pb2 import Timestamp

from weftmesh.agent.board.homes import Home
from weftmesh.agent.learning.finish_rows import TASKS_NEWEST, board_task
from weftmesh.agent.learning.served_model import Served, ServedModel
from weftmesh.agent.learning.team_cache import TeamCache, in_turns
from weftmesh.core.board.model import Status, Task
from weftmesh.core.errors import NotFoundError, WeftmeshError
from weftmesh.core.forecast.cycle_time import TaskTimes
from weftmesh.core.forecast.finish import forecast_finish
from weftmesh.core.forecast.finish_features import BoardTask, TeamHistory
from weftmesh.core.forecast.finish_model import FinishModel
from weftmesh.core.forecast.finish_pace import TeamPace, own_history_s, team_pace
from weftmesh.core.forecast.quantiles import LEVELS, empirical_quantile
from weftmesh.learning.v1 import learning_pb2


@dataclass(frozen=True, slots=True)
class _Team:
    history: TeamHistory
    pace: TeamPace | None
    """None without a model."""
    baseline_s: tuple[float, ...] | None
    """The team's own P50, P85 and P95; None before its first resolution."""
    resolved: int


class FinishForecasts:
    """Forecasts dates. A team's pace is taken here and never leaves this node.

    Args:
        model: the shared one.
        now_s: Unix seconds.
    """

    def __init__(self, model: ServedModel[FinishModel], now_s: Callable[[], float] = time.time) -> None:
        self._model = model
        self._now_s = now_s
        self._teams: TeamCache[_Team] = TeamCache(progress_of, TASKS_NEWEST, counted=_is_done)

    async def forecast(self, home: Home, task: Task, notes: list[str]) -> learning_pb2.FinishForecast | None:
        """The forecast of a task; None when nothing is known. What is missing is added to `notes`.

        Raises:
            OverloadedError: too many wait.
        """
        if task.status in (Status.DONE, Status.CANCELLED):
            notes.append(f"finish: {task.key} is {task.status.name.lower()}")
            return None
        served: Served[FinishModel] | None = None
        try:
            served = await self._model.current()
        except NotFoundError as error:
            notes.append(str(error))
        except WeftmeshError as error:
            notes.append(f"finish: the model cannot be used: {error}")
        model, sha256 = (None, b"") if served is None else (served.model, served.sha256)
        now_s = self._now_s()
        team = await self._teams.get(home, task.project_id, sha256, lambda tasks: _fit(model, tasks, now_s))
        if team.baseline_s is None:
            notes.append(f"finish: no task of {task.project_id} was finished on this node's board yet")
        if served is None and team.baseline_s is None:
            return None
        return _view(served, team, task, now_s)


def _view(served: Served[FinishModel] | None, team: _Team, task: Task, now_s: float) -> learning_pb2.FinishForecast:
    asked = board_task(task) or BoardTask(TaskTimes(now_s, None), "", 0, 0)
    created_s = min(asked.times.created_s, now_s)  # another node's clock may be ahead of this one's
    view = learning_pb2.FinishForecast(labels=team.resolved)
    if served is not None and team.pace is not None:
        found = forecast_finish(served.model, team.pace, team.history.features(asked), now_s - created_s)
        view.model_version = served.version
        for field, cycle_s in zip((view.p50, view.p85, view.p95), found.cycle_times_s, strict=True):
            _set(field, created_s + cycle_s)
    if team.baseline_s is not None:
        fields = (view.baseline_p50, view.baseline_p85, view.baseline_p95)
        for field, cycle_s in zip(fields, team.baseline_s, strict=True):
            _set(field, created_s + cycle_s)
    return view


def _fit(model: FinishModel | None, tasks: list[Task], now_s: float) -> _Team:
    rows = [row for task in in_turns(tasks) if (row := board_task(task)) is not None]
    history = TeamHistory(rows)
    own_s = own_history_s([row.times for row in rows], now_s)
    records = [] if model is None else [(row.times, history.features(row)) for row in in_turns(rows)]
    pace = None if model is None else team_pace(model, records, now_s)
    baseline_s = tuple(empirical_quantile(own_s, level) for level in LEVELS) if own_s else None
    return _Team(history, pace, baseline_s, len(own_s))


def progress_of(task: Task) -> object:
    """What counts for a team's pace: whether a task is done; None for a cancelled one."""
    return None if task.status is Status.CANCELLED else task.status is Status.DONE


def _is_done(task: Task) -> object:
    """Tasks that only come or go on tell little of a pace; those that are done do."""
    return task.status is Status.DONE or None


def _set(field: Timestamp, unix_s: float) -> None:
    field.FromNanoseconds(round(unix_s * 1e3) * 1_000_000)
