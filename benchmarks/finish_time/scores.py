"""How good forecasts were: coverage of each level, and pinball loss beside a reference."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean

from weftmesh.core.forecast.cycle_time import DAY_S
from weftmesh.core.forecast.quantiles import LEVELS, pinball_loss


@dataclass(frozen=True, slots=True)
class Outcome:
    """One forecast and what came of it, seconds."""

    team: str
    cut_s: float
    actual_s: float
    forecast_s: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """Of many forecasts, for P50, P85 and P95.

    Attributes:
        tasks: how many there were.
        coverage: fraction of tasks that took no longer than forecast.
        loss_days: mean pinball loss.
    """

    tasks: int
    coverage: tuple[float, ...]
    loss_days: tuple[float, ...]


def score(outcomes: Iterable[Outcome]) -> Score:
    """Over all outcomes, each counting the same."""
    rows = list(outcomes)
    places = range(len(LEVELS))
    return Score(
        len(rows),
        tuple(fmean(row.actual_s <= row.forecast_s[place] for row in rows) for place in places),
        tuple(
            fmean(pinball_loss(row.actual_s, row.forecast_s[place], LEVELS[place]) for row in rows) / DAY_S
            for place in places
        ),
    )


def by_team(outcomes: Iterable[Outcome]) -> dict[str, Score]:
    """A score for each team."""
    rows: dict[str, list[Outcome]] = {}
    for row in outcomes:
        rows.setdefault(row.team, []).append(row)
    return {team: score(part) for team, part in sorted(rows.items())}


def by_cut(outcomes: Iterable[Outcome]) -> dict[float, Score]:
    """A score for each cut."""
    rows: dict[float, list[Outcome]] = {}
    for row in outcomes:
        rows.setdefault(row.cut_s, []).append(row)
    return {cut_s: score(part) for cut_s, part in sorted(rows.items())}


def macro_coverage(teams: dict[str, Score]) -> tuple[float, ...]:
    """The mean over teams, each counting the same."""
    return tuple(fmean(one.coverage[place] for one in teams.values()) for place in range(len(LEVELS)))


def ratios(teams: dict[str, Score], reference: dict[str, Score]) -> dict[str, float]:
    """For each team its loss over all levels, as a part of the reference's."""
    return {team: sum(one.loss_days) / sum(reference[team].loss_days) for team, one in teams.items()}


def geometric_mean(values: Iterable[float]) -> float:
    """The mean of ratios."""
    return math.exp(fmean(math.log(value) for value in values))
