"""A team's private part of the finish-time forecast: its own rates, which follow from its newest records.

They are known in closed form, so that a node renews them whenever it likes, without training; they never leave it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.forecast.cycle_time import DAY_S, INTERVALS, PHASE_OF, TaskTimes, exposure
from weftmesh.core.forecast.finish_model import FinishModel
from weftmesh.core.forecast.quantiles import LEVELS, empirical_quantile

HISTORY_TASKS: Final = 50
"""How many of the newest resolved tasks a team's own quantiles are taken over."""
FADED_HALF_LIVES: Final = 12
"""A task that was resolved so many half-lives ago counts 1/4096 and is left out."""
_LONGEST_S_MIN: Final = 365 * DAY_S
"""A young team has seen no long task yet."""


@dataclass(frozen=True, slots=True)
class PaceSettings:
    """How a team's rates follow from its records; the defaults were chosen on validation cuts (docs/forecasts.md).

    Attributes:
        half_life_s: what happened so long ago counts half.
        open_weight: what the time of a task that is still open counts beside that of a resolved one. Many open tasks
            are never taken up and say little about one that will be.
        prior_resolutions: how many resolutions the shared rates count for, in each interval.
        prior_tasks: the same for the team's pace over all intervals.

    Raises:
        InvalidInputError: the half-life or a prior is not positive, or the weight not between 0 and 1.
    """

    half_life_s: float = 90 * DAY_S
    open_weight: float = 0.7
    prior_resolutions: float = 2.0
    prior_tasks: float = 10.0

    def __post_init__(self) -> None:
        positive = (self.half_life_s, self.prior_resolutions, self.prior_tasks)
        if not all(0.0 < one < math.inf for one in positive) or not 0.0 <= self.open_weight <= 1.0:
            raise InvalidInputError(f"{self}: half-life and priors are above 0, the weight is between 0 and 1")


@dataclass(frozen=True, slots=True)
class TeamPace:
    """What a team's records say about its next task.

    Attributes:
        rates: one per interval, in resolutions per unit of `WIDTHS_S`, of a task whose features are average.
        longest_s: the longest that a task was seen to take or to wait, at least a year; forecasts do not go beyond.
        tasks: from how many tasks the rates are.
        resolved: how many of those were resolved.
        history_s: the team's own P50, P85 and P95 of the last resolved tasks; None before the first one.
        history_tasks: over how many tasks those are.
    """

    rates: tuple[float, ...]
    longest_s: float
    tasks: int
    resolved: int
    history_s: tuple[float, ...] | None
    history_tasks: int


def team_pace(
    model: FinishModel,
    tasks: Sequence[tuple[TaskTimes, Sequence[float]]],
    now_s: float,
    settings: PaceSettings | None = None,
) -> TeamPace:
    """A team's rates as of `now_s`: the posterior mean under a Gamma prior around the shared rates.

    Args:
        model: the shared model.
        tasks: the times and features of the team's tasks; what happened after `now_s` is not used.
        now_s: the moment, Unix seconds.
        settings: how fast old records fade and how much the shared rates count.

    Raises:
        InvalidInputError: features do not fit the model.
    """
    chosen = settings or PaceSettings()
    known = [(times.known_at(now_s), features) for times, features in tasks if times.created_s <= now_s]
    faded_s = now_s - FADED_HALF_LIVES * chosen.half_life_s
    counted = [(times, x) for times, x in known if times.resolved_s is None or times.resolved_s > faded_s]
    resolutions, exposures = _totals(model, counted, now_s, chosen)
    history = own_history_s([times for times, _ in known], now_s)
    return TeamPace(
        rates=_posterior(model, resolutions, exposures, chosen),
        longest_s=max((_LONGEST_S_MIN, *(times.duration_s(now_s) for times, _ in known))),
        tasks=len(counted),
        resolved=sum(times.resolved_s is not None for times, _ in counted),
        history_s=tuple(empirical_quantile(history, level) for level in LEVELS) if history else None,
        history_tasks=len(history),
    )


def own_history_s(tasks: Sequence[TaskTimes], now_s: float, count: int = HISTORY_TASKS) -> list[float]:
    """The cycle times of the last `count` tasks that were resolved by `now_s`, seconds; the newest is last."""
    ended = sorted((one.resolved_s, one.created_s) for one in tasks if one.resolved_s is not None)
    return [resolved_s - created_s for resolved_s, created_s in ended if resolved_s <= now_s][-count:]


def _totals(
    model: FinishModel, tasks: Sequence[tuple[TaskTimes, Sequence[float]]], now_s: float, settings: PaceSettings
) -> tuple[list[float], list[float]]:
    """In each interval the resolutions, and the exposure in terms of tasks with average features."""
    resolutions, exposures = [0.0] * INTERVALS, [0.0] * INTERVALS
    for times, features in tasks:
        shown = exposure(times, now_s, settings.half_life_s, settings.open_weight)
        effects = [math.exp(effect) for effect in model.log_effects(features)]
        for interval, at_risk in enumerate(shown.at_risk):
            exposures[interval] += at_risk * effects[PHASE_OF[interval]]
        if shown.resolved_in is not None:
            resolutions[shown.resolved_in] += shown.resolution
    return resolutions, exposures


def _posterior(
    model: FinishModel, resolutions: list[float], exposures: list[float], settings: PaceSettings
) -> tuple[float, ...]:
    """The shared rates, moved to the team's pace over all intervals and then to what each interval shows."""
    expected = sum(rate * one for rate, one in zip(model.rates, exposures, strict=True))
    pace = (sum(resolutions) + settings.prior_tasks) / (expected + settings.prior_tasks)
    prior = settings.prior_resolutions
    return tuple(
        (count + prior) / (one + prior / (pace * rate))
        for count, one, rate in zip(resolutions, exposures, model.rates, strict=True)
    )
