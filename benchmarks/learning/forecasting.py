"""Forecasts of rows and their mean absolute error."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import fmean, median

from benchmarks.learning.dataset import Rows
from weftmesh.core.forecast.effort import EffortModel, dot
from weftmesh.core.forecast.ordinal import TeamScale, fit_scale


def scores(model: EffortModel, rows: Rows) -> list[float]:
    """Of each text."""
    return [dot(model.statistics.weigh(text), model.weights) for text in rows.texts]


def quantiles(scale: TeamScale, of_scores: Iterable[float], probability: float) -> list[float]:
    """Forecasts from scores; the median where the scale has no thresholds."""
    return [scale.quantile(score, probability) if scale.thresholds else scale.median for score in of_scores]


def model_error(model: EffortModel, known: Rows, asked: Rows) -> float:
    """Of P50 on `asked`, with thresholds from all of `known`."""
    scale = fit_scale(scores(model, known), known.efforts)
    return mean_absolute_error(quantiles(scale, scores(model, asked), 0.5), asked.efforts)


def median_error(known: Rows, asked: Rows) -> float:
    """Of the median of `known`."""
    return mean_absolute_error([median(known.efforts)] * len(asked.efforts), asked.efforts)


def mean_absolute_error(forecasts: list[float], efforts: list[float]) -> float:
    """In story points."""
    return fmean(abs(forecast - effort) for forecast, effort in zip(forecasts, efforts, strict=True))


def coverage(model: EffortModel, known: Rows, asked: Rows, probability: float) -> float:
    """The share of `asked` that is no larger than its forecast quantile."""
    scale = fit_scale(scores(model, known), known.efforts)
    forecasts = quantiles(scale, scores(model, asked), probability)
    return fmean(effort <= forecast for forecast, effort in zip(forecasts, asked.efforts, strict=True))
