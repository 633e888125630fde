"""Forecasts of rows and their mean absolute error."""

from __future__ import annotations

from dataclasses import replace
from statistics import fmean, median

from benchmarks.learning.dataset import Rows
from weftmesh.core.forecast.effort import EffortModel, dot, fit_team
from weftmesh.core.forecast.precedents import WEIGHTING, TeamHistory, Weighting


def history_of(model: EffortModel, known: Rows, precedents: Weighting | None = WEIGHTING) -> TeamHistory:
    """What a team's labels say on top of a model; without `precedents`, its thresholds alone."""
    if precedents is None:
        return replace(fit_team(model, known.texts, known.efforts), precedents=None)
    return fit_team(model, known.texts, known.efforts, precedents)


def model_forecasts(model: EffortModel, history: TeamHistory, asked: Rows, *of: float) -> list[tuple[float, ...]]:
    """For each row the quantiles `of` these probabilities; the median where there are no thresholds."""
    if not history.scale.thresholds:
        return [(history.scale.median,) * len(of)] * len(asked.texts)
    found = []
    for text in asked.texts:
        row = model.statistics.weigh(text)
        score, scale = dot(row, model.weights), history.scale_for(row)
        found.append(tuple(scale.quantile(score, probability) for probability in of))
    return found


def model_error(model: EffortModel, known: Rows, asked: Rows, *, precedents: Weighting | None = WEIGHTING) -> float:
    """Of P50 on `asked`, with all of `known` as history; `precedents` as in `history_of`."""
    history = history_of(model, known, precedents)
    return mean_absolute_error([p50 for (p50,) in model_forecasts(model, history, asked, 0.5)], asked.efforts)


def median_error(known: Rows, asked: Rows) -> float:
    """Of the median of `known`."""
    return mean_absolute_error([median(known.efforts)] * len(asked.efforts), asked.efforts)


def mean_absolute_error(forecasts: list[float], efforts: list[float]) -> float:
    """In story points."""
    return fmean(abs(forecast - effort) for forecast, effort in zip(forecasts, efforts, strict=True))


def share_within(forecasts: list[float], efforts: list[float]) -> float:
    """The share of efforts that are no larger than their forecasts."""
    return fmean(effort <= forecast for forecast, effort in zip(forecasts, efforts, strict=True))
