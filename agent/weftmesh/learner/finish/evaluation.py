"""Whether a model forecasts a team's newest tasks better than the team's own history: sums that add up over nodes.

Some of those tasks are still open. Each was watched for a time that is known beforehand, from its creation to the
moment of the evaluation; what is scored is the shorter of that and its cycle time, against the shorter of that and the
forecast, so that an open task counts as much as a resolved one (J. L. Powell, Journal of Econometrics 32 (1986)).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean
from typing import Final

from weftmesh.core.forecast.cycle_time import HOUR_S
from weftmesh.core.forecast.finish import forecast_finish
from weftmesh.core.forecast.finish_model import FinishModel
from weftmesh.core.forecast.finish_pace import own_history_s, team_pace
from weftmesh.core.forecast.quantiles import LEVELS, pinball_loss
from weftmesh.learner.finish.teams import FinishTeam

PARTS: Final = 4
"""A team's pace and history go on while it is judged, as they do where forecasts are served: after each such part."""
SCALE_S_MIN: Final = HOUR_S


@dataclass(frozen=True, slots=True)
class Verdict:
    """Pinball losses at P50, P85 and P95 together, over the team's mean cycle time before the cut.

    Attributes:
        forecasts: how many.
        model_loss: sum over the forecasts.
        history_loss: the same of the team's own last resolved tasks.
    """

    forecasts: int = 0
    model_loss: float = 0.0
    history_loss: float = 0.0

    def __add__(self, other: Verdict) -> Verdict:
        return Verdict(
            self.forecasts + other.forecasts,
            self.model_loss + other.model_loss,
            self.history_loss + other.history_loss,
        )


def judge(model: FinishModel, team: FinishTeam, cut_s: float) -> Verdict:
    """Forecast the tasks of a team that were created after a cut, each from what was known shortly before.

    Args:
        model: the version to judge; trained without what happened after the cut, or it judges itself.
        team: as of the moment of the evaluation.
        cut_s: Unix seconds.
    """
    records = [(task.times, team.history.features(task)) for task in team.tasks]
    known = own_history_s([times for times, _ in records], cut_s)
    if not known:
        return Verdict()
    begin = sum(times.created_s <= cut_s for times, _ in records)
    length = max(1, -(-(len(records) - begin) // PARTS))
    bounds = [*range(begin, len(records), length), len(records)]
    model_loss = history_loss = 0.0
    for first, end in pairwise(bounds):
        known_s = cut_s if first == begin else records[first - 1][0].created_s
        pace = team_pace(model, records, known_s)
        for times, features in records[first:end]:
            watched_s = team.as_of_s - times.created_s
            actual_s = min(times.duration_s(team.as_of_s), watched_s)
            model_loss += _loss(actual_s, forecast_finish(model, pace, features).cycle_times_s, watched_s)
            history_loss += _loss(actual_s, pace.history_s or (), watched_s)
    scale_s = max(fmean(known), SCALE_S_MIN)
    return Verdict(len(records) - begin, model_loss / scale_s, history_loss / scale_s)


def _loss(actual_s: float, forecast_s: Sequence[float], watched_s: float) -> float:
    return sum(
        pinball_loss(actual_s, min(one_s, watched_s), level) for one_s, level in zip(forecast_s, LEVELS, strict=True)
    )
