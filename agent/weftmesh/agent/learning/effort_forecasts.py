"""What a task will take: the shared model's score of its text, on the scale of the labels on this node's board."""

from __future__ import annotations

from dataclasses import replace

from weftmesh.agent.board.homes import Home
from weftmesh.agent.learning.served_model import Served, ServedModel
from weftmesh.agent.learning.team_cache import TeamCache, in_turns
from weftmesh.core.board.model import Status, Task
from weftmesh.core.errors import NotFoundError, WeftmeshError
from weftmesh.core.forecast.effort import Basis, EffortModel, fit_team, forecast_effort
from weftmesh.core.forecast.explanation import explain_effort
from weftmesh.core.forecast.features import raw_features
from weftmesh.core.forecast.ordinal import LABELS_MIN, LABELS_NEWEST, TeamScale, fit_scale
from weftmesh.core.forecast.precedents import TeamHistory
from weftmesh.core.forecast.text import TaskText
from weftmesh.learning.v1 import learning_pb2


def label_of(task: Task) -> float | None:
    """What a task took, in its team's own unit: the estimate of a task that is done; None for any other."""
    return task.estimate if task.status is Status.DONE else None


def text_of(task: Task) -> TaskText:
    """What a person wrote about a task."""
    return TaskText(task.title, task.description)


class EffortForecasts:
    """Forecasts effort. A team's history is fitted here and never leaves this node."""

    def __init__(self, model: ServedModel[EffortModel]) -> None:
        self._model = model
        self._histories: TeamCache[TeamHistory | None] = TeamCache(label_of, LABELS_NEWEST)

    async def forecast(self, home: Home, task: Task, notes: list[str]) -> learning_pb2.EffortForecast | None:
        """The forecast of a task; None when its team has no label. What is missing is added to `notes`.

        Raises:
            OverloadedError: too many wait.
        """
        served: Served[EffortModel] | None = None
        try:
            served = await self._model.current()
        except NotFoundError as error:
            notes.append(str(error))
        except WeftmeshError as error:
            notes.append(f"effort: the model cannot be used: {error}")
        model, sha256 = (None, b"") if served is None else (served.model, served.sha256)
        history = await self._histories.get(home, task.project_id, sha256, lambda tasks: fit(model, tasks))
        if history is None:
            notes.append(f"effort: {task.project_id} has no done task with an estimate on this node's board yet")
            return None
        if served is None:
            return _baseline(history.scale)
        return self._by_model(served, history, task, notes)

    @staticmethod
    def _by_model(
        served: Served[EffortModel], history: TeamHistory, task: Task, notes: list[str]
    ) -> learning_pb2.EffortForecast:
        text, scale = text_of(task), history.scale
        found = forecast_effort(served.model, history, text)
        if found.basis is Basis.MEDIAN:
            why = f"needs {LABELS_MIN} labels" if scale.labels < LABELS_MIN else "finds one value in all labels"
            notes.append(f"effort: the model {why}, so this is the team's median")
            return _baseline(scale)
        words = [
            learning_pb2.WordWeight(words=", ".join(one.what), weight=one.effect)
            for one in explain_effort(served.model, text)
        ]
        return learning_pb2.EffortForecast(
            p50=found.p50,
            p85=found.p85,
            p95=found.p95,
            baseline=found.median,
            labels=found.labels,
            model_version=served.version,
            words=words,
        )


def fit(model: EffortModel | None, tasks: list[Task]) -> TeamHistory | None:
    """What labelled tasks say: with thresholds for the model's scores, or without a model their quantiles."""
    efforts = [task.estimate for task in tasks if task.estimate is not None]
    if not efforts:
        return None
    if model is None:
        return TeamHistory(replace(fit_scale([0.0] * len(efforts), efforts), thresholds=()), None)
    return fit_team(model, [raw_features(text_of(task)) for task in in_turns(tasks)], efforts)


def _baseline(scale: TeamScale) -> learning_pb2.EffortForecast:
    p85, p95 = (max(scale.median, one) for one in scale.upper)
    return learning_pb2.EffortForecast(p50=scale.median, p85=p85, p95=p95, baseline=scale.median, labels=scale.labels)
