"""P50, P85 and P95 of when a task is finished, as durations and as dates.

The hazard of a task in interval k is `rate_k * exp(w . x)`: the weights `w` are learned by all teams together
(`finish_model`), the rates are the team's own (`finish_pace`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.forecast.cycle_time import PHASE_OF, HazardCurve
from weftmesh.core.forecast.finish_model import FinishModel
from weftmesh.core.forecast.finish_pace import TeamPace

ASKED_LEVELS: Final = (0.50, 0.88, 0.97)
"""What the curve is asked for as P50, P85 and P95. A curve does not know how a team will change, so that its late
quantiles are too short; on the validation cuts these levels cover what they say (docs/forecasts.md)."""


@dataclass(frozen=True, slots=True)
class FinishForecast:
    """When one task is expected to be finished, beside what the team's own history says.

    Attributes:
        cycle_times_s: for P50, P85 and P95 the time from creation that the task does not exceed with that probability,
            given that it was not finished when this was said.
        open_for_s: for how long it was open then.
        history_s: the team's own P50, P85 and P95, whatever the task; None before its first resolution.
        history_tasks: over how many resolved tasks those are.
        tasks: from how many of the team's records the forecast is.
        model_version: of the shared model.
    """

    cycle_times_s: tuple[float, ...]
    open_for_s: float
    history_s: tuple[float, ...] | None
    history_tasks: int
    tasks: int
    model_version: int

    def remaining_s(self) -> tuple[float, ...]:
        """For P50, P85 and P95 the time that is left, seconds."""
        return tuple(one - self.open_for_s for one in self.cycle_times_s)

    def dates(self, now: datetime, zone: tzinfo) -> tuple[date, ...]:
        """For P50, P85 and P95 the day in `zone` on which the task is finished at the latest.

        Args:
            now: the moment that `open_for_s` was counted to, with a zone.
            zone: of the person who asks.

        Raises:
            InvalidInputError: `now` has no zone.
        """
        if now.tzinfo is None:
            raise InvalidInputError("the present has no time zone: give an aware datetime")
        # Sums of local times would miss the hour of a clock change.
        begin = now.astimezone(UTC)
        return tuple((begin + timedelta(seconds=left_s)).astimezone(zone).date() for left_s in self.remaining_s())


def forecast_finish(
    model: FinishModel, pace: TeamPace, features: Sequence[float], open_for_s: float = 0.0
) -> FinishForecast:
    """Forecast one task.

    Args:
        model: the shared model.
        pace: the team's private rates.
        features: of the task, as of its creation; see `finish_features`.
        open_for_s: for how long the task has been open.

    Raises:
        InvalidInputError: the features do not fit the model, or the duration is negative or not finite.
    """
    curve = hazard_curve(model, pace, features)
    # What no task of the team was ever seen to take cannot be forecast from its records. A task that is itself the
    # oldest is given as long again.
    longest_s = max(pace.longest_s, 2.0 * open_for_s)
    quantiles_s = (min(curve.quantile_s(level, open_for_s), longest_s) for level in ASKED_LEVELS)
    return FinishForecast(tuple(quantiles_s), open_for_s, pace.history_s, pace.history_tasks, pace.tasks, model.version)


def hazard_curve(model: FinishModel, pace: TeamPace, features: Sequence[float]) -> HazardCurve:
    """The distribution of one task's cycle time.

    Raises:
        InvalidInputError: the features do not fit the model.
    """
    effects = [math.exp(effect) for effect in model.log_effects(features)]
    return HazardCurve([rate * effects[PHASE_OF[interval]] for interval, rate in enumerate(pace.rates)])
