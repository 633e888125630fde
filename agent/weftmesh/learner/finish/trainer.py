"""The finish head on this node: its teams' cycle times, trained on, standardised, and judged by; see docs/forecasts.md.

A team's newest tasks are held out by time: training knows of each team what was known at its cut, open tasks censored
there, and the tasks that were created after it judge the model.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from weftmesh.core.errors import PreconditionError
from weftmesh.core.forecast.finish_bytes import decode_model
from weftmesh.learner.finish.data import FinishData, finish_data
from weftmesh.learner.finish.evaluation import Verdict, judge
from weftmesh.learner.finish.teams import FinishTeam, FinishTeams
from weftmesh.learner.finish.training import standardise_round, together, train_round
from weftmesh.learner.team_file import TeamFile
from weftmesh.learner.trainer import BASELINE_LOSS, LOSS, MODEL_LOSS
from weftmesh.runtime.round_settings import RoundSettings
from weftmesh.runtime.training_messages import LocalEvaluation, LocalUpdate

HEAD: Final = "finish"


class FinishTrainer:
    """Implements `trainer.HeadTrainer`.

    Args:
        teams: this node's tasks.
        records: what is known of its teams.
    """

    def __init__(self, teams: FinishTeams, records: TeamFile) -> None:
        self._teams = teams
        self._records = records
        self._prepared: dict[str, tuple[FinishTeam, float, FinishData]] = {}

    def count(self, projects: tuple[str, ...], settings: RoundSettings) -> LocalUpdate:
        """Sums of the features and their squares, by the teams' weights, and these; every node's weight is 1.

        Raises:
            PreconditionError: NOTHING_TO_LEARN.
        """
        mean = together([standardise_round(data) for data in self._open(projects, settings)])
        sums = np.append(mean.weight * mean.vector, mean.weight)
        return LocalUpdate(sums.astype(np.float32), 1.0)

    def train(self, model: bytes, projects: tuple[str, ...], settings: RoundSettings) -> LocalUpdate:
        """What a Newton step needs to know of this node's tasks.

        Raises:
            PreconditionError: NOTHING_TO_LEARN.
            InvalidInputError: the model cannot be read.
        """
        base = decode_model(model)
        mean = together([train_round(data, base) for data in self._open(projects, settings)])
        return LocalUpdate(mean.vector.astype(np.float32), mean.weight, {LOSS: mean.loss})

    def evaluate(self, model: bytes, projects: tuple[str, ...], settings: RoundSettings) -> LocalEvaluation:
        """Pinball losses of the model and of the teams' own history, on tasks that were never trained on.

        Raises:
            PreconditionError: NOTHING_TO_EVALUATE.
            InvalidInputError: the model cannot be read.
        """
        base = decode_model(model)
        found = Verdict()
        for team in self._teams.teams(projects, settings):
            found += judge(base, team, self._cut_s(team))
        if not found.forecasts:
            raise PreconditionError(
                "finish: no task of this node is newer than those that were trained on", reason="NOTHING_TO_EVALUATE"
            )
        return LocalEvaluation(
            float(found.forecasts),
            {MODEL_LOSS: found.model_loss / found.forecasts, BASELINE_LOSS: found.history_loss / found.forecasts},
        )

    def _open(self, projects: tuple[str, ...], settings: RoundSettings) -> list[FinishData]:
        """The teams' tasks as of their cuts; that they are trained on is on disk before."""
        teams = self._teams.teams(projects, settings)
        if not teams:
            raise PreconditionError(
                f"finish: no project of this node has {settings.labels_min} tasks that were seen to be done",
                reason="NOTHING_TO_LEARN",
            )
        self._records.trained({team.project_id: (team.cut_s(), "") for team in teams})
        self._prepared = {team.project_id: self._data(team) for team in teams}
        return [data for _, _, data in self._prepared.values()]

    def _data(self, team: FinishTeam) -> tuple[FinishTeam, float, FinishData]:
        """A team's arrays, kept for the next round of the same training."""
        cut_s = self._cut_s(team)
        kept = self._prepared.get(team.project_id)
        if kept is not None and kept[0] is team and kept[1] == cut_s:
            return kept
        return team, cut_s, finish_data(team.tasks, team.history, cut_s)

    def _cut_s(self, team: FinishTeam) -> float:
        """What happened by then may be trained on; the latest that it ever was."""
        return max(team.cut_s(), self._records.record(team.project_id).trained_until[0])
