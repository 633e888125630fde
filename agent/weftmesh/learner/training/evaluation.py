"""Whether a model beats the median on a node's own newest labels: sums that add up over nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from weftmesh.core.forecast.calibration import TeamCalibration
from weftmesh.core.forecast.effort import EffortModel, dot
from weftmesh.core.forecast.features import RawFeatures


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Absolute errors of a team's forecasts, each made before its label was known.

    Attributes:
        forecasts: how many.
        model_error: sum of |P50 - label|.
        median_error: sum of |median of the labels then known - label|.
    """

    forecasts: int
    model_error: float
    median_error: float


def evaluate(
    model: EffortModel, texts: Sequence[RawFeatures], efforts: Sequence[float], known: int, calibration: TeamCalibration
) -> Evaluation:
    """Go through a team's labels in the order in which they came, forecast each and then learn it (prequentially).

    Args:
        model: the version to judge; trained without the labels from `known` on, or it judges itself.
        texts: the team's, oldest first.
        efforts: beside them.
        known: how many of them are only learnt and not forecast; at least 1.
        calibration: without labels yet.
    """
    forecasts, model_error, median_error = 0, 0.0, 0.0
    for place, (text, effort) in enumerate(zip(texts, efforts, strict=True)):
        row = model.statistics.weigh(text)
        score = dot(row, model.weights)
        if place >= known and (history := calibration.history) is not None:
            forecasts += 1
            model_error += abs(history.middle(row, score) - effort)
            median_error += abs(history.scale.median - effort)
        calibration.add(row, score, effort)
    return Evaluation(forecasts, model_error, median_error)
