"""The effort head on this node: its teams' labels, trained on, counted, and judged by; see docs/forecasts.md."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, median
from typing import Final

import numpy as np

from weftmesh.core.errors import PreconditionError
from weftmesh.core.forecast.calibration import TeamCalibration
from weftmesh.core.forecast.effort import EffortModel, dot
from weftmesh.core.forecast.features import DocumentCounts, FeatureStatistics
from weftmesh.core.forecast.model_bytes import decode_model
from weftmesh.core.forecast.ordinal import LABELS_NEWEST, REFIT_LABELS, TeamScale, fit_scale
from weftmesh.learner.count_noise import CountNoise
from weftmesh.learner.local_tasks import LocalTasks, Team
from weftmesh.learner.team_file import TeamFile
from weftmesh.learner.trainer import BASELINE_LOSS, LOSS, MODEL_LOSS
from weftmesh.learner.training.evaluation import evaluate
from weftmesh.learner.training.round import TrainingSettings, train_round
from weftmesh.learner.training.team import TeamData
from weftmesh.runtime.round_settings import RoundSettings
from weftmesh.runtime.training_messages import LocalEvaluation, LocalUpdate

HEAD: Final = "effort"


class EffortTrainer:
    """Implements `trainer.HeadTrainer`.

    Args:
        tasks: this node's labels.
        records: what is known of its teams.
        count_noise: hides its small counts.
    """

    def __init__(self, tasks: LocalTasks, records: TeamFile, count_noise: CountNoise) -> None:
        self._tasks = tasks
        self._records = records
        self._count_noise = count_noise
        self._prepared: dict[str, tuple[Team, int, FeatureStatistics, TeamData | None]] = {}

    def count(self, projects: tuple[str, ...], settings: RoundSettings) -> LocalUpdate:
        """Document counts of the texts that may be trained on, each a little wrong; see `count_noise`.

        Every node's weight is 1, so that sums stay sums.

        Raises:
            PreconditionError: NOTHING_TO_LEARN.
        """
        teams = self._open(projects, settings)
        counts = DocumentCounts.of(text for team, known in teams for text in team.texts[:known])
        noisy = self._count_noise.added_to(counts, HEAD)
        return LocalUpdate(np.asarray(noisy.to_vector(), dtype=np.float32), 1.0)

    def train(self, model: bytes, projects: tuple[str, ...], settings: RoundSettings) -> LocalUpdate:
        """One round of local training.

        Raises:
            PreconditionError: NOTHING_TO_LEARN.
            InvalidInputError: the model cannot be read, or training diverged.
        """
        base = decode_model(model)
        teams = [
            data
            for team, known in self._open(projects, settings)
            if (data := self._data(team, known, base.statistics)) is not None
        ]
        local = TrainingSettings(settings.local_steps, settings.learning_rate, settings.l2, settings.update_clip)
        update = train_round(teams, base, local)
        return LocalUpdate(update.change, update.weight, {LOSS: _loss(teams, base)})

    def evaluate(self, model: bytes, projects: tuple[str, ...], settings: RoundSettings) -> LocalEvaluation:
        """Mean absolute errors of the model and of the median, on labels that were never trained on.

        A team's errors are divided by the mean absolute deviation of the labels before them, so that a team that counts
        in hours weighs like one that counts in points. The weight is the number of forecasts.

        Raises:
            PreconditionError: NOTHING_TO_EVALUATE.
            InvalidInputError: the model cannot be read.
        """
        base = decode_model(model)
        forecasts, model_loss, baseline_loss = 0, 0.0, 0.0
        for team in self._tasks.teams(projects, settings):
            known = team.known_at(max(self._records.record(team.project_id).trained_until, team.cut()))
            if 0 < known < len(team.efforts):
                found = evaluate(base, team.texts, team.efforts, known, TeamCalibration())
                spread = _spread(team.efforts[:known])
                forecasts += found.forecasts
                model_loss += found.model_error / spread
                baseline_loss += found.median_error / spread
        self._refit(base, projects, settings)
        if not forecasts:
            raise PreconditionError(
                "effort: no label of this node is newer than those that were trained on", reason="NOTHING_TO_EVALUATE"
            )
        return LocalEvaluation(
            float(forecasts), {MODEL_LOSS: model_loss / forecasts, BASELINE_LOSS: baseline_loss / forecasts}
        )

    def _open(self, projects: tuple[str, ...], settings: RoundSettings) -> list[tuple[Team, int]]:
        """The teams, each with the number of labels that may be trained on; that they are is on disk before."""
        teams = self._tasks.teams(projects, settings)
        if not teams:
            raise PreconditionError(
                f"effort: no project of this node has {settings.labels_min} done tasks with an estimate",
                reason="NOTHING_TO_LEARN",
            )
        self._records.trained({team.project_id: team.cut() for team in teams})
        return [(team, team.known_at(self._records.record(team.project_id).trained_until)) for team in teams]

    def _data(self, team: Team, known: int, statistics: FeatureStatistics) -> TeamData | None:
        """A team's matrix, kept for the next round of the same training; None when there is nothing to learn."""
        kept = self._prepared.get(team.project_id)
        if kept is not None and kept[0] is team and kept[1:3] == (known, statistics):
            return kept[3]
        try:
            data = TeamData.of(team.texts[:known], team.efforts[:known], statistics)
        except PreconditionError:
            data = None
        self._prepared[team.project_id] = (team, known, statistics, data)
        return data

    def _refit(self, base: EffortModel, projects: tuple[str, ...], settings: RoundSettings) -> None:
        """Fit the scale of every team whose labels or model have moved since."""
        scales: dict[str, tuple[TeamScale, int]] = {}
        for team in self._tasks.teams(projects, settings):
            record, labels = self._records.record(team.project_id), len(team.efforts)
            if record.model_version != base.version or abs(labels - record.labels) >= REFIT_LABELS:
                newest = slice(-LABELS_NEWEST, None)
                scores = [dot(base.statistics.weigh(text), base.weights) for text in team.texts[newest]]
                scales[team.project_id] = (fit_scale(scores, team.efforts[newest]), labels)
        self._records.fitted(scales, base.version)


def _loss(teams: Sequence[TeamData], base: EffortModel) -> float:
    """The loss of the base version, averaged over the teams by their weights."""
    weights = np.asarray(base.weights, dtype=np.float64)
    total = math.fsum(team.weight for team in teams)
    return math.fsum(team.weight / total * team.loss(weights, team.thresholds(weights)) for team in teams)


def _spread(efforts: Sequence[float]) -> float:
    middle = median(efforts)
    return fmean(abs(effort - middle) for effort in efforts) or 1.0
