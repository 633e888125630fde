"""The effort model, and a forecast with it: P50, P85 and P95 in the team's own scale, beside the team's median."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.forecast.features import DIMENSIONS, FeatureStatistics, RawFeatures, SparseRow, raw_features
from weftmesh.core.forecast.precedents import WEIGHTING, TeamHistory, Weighting, fit_history
from weftmesh.core.forecast.text import TaskText

WEIGHT_MAX: Final = 1e4
"""A weight beyond this is the work of a fault; the largest trained one measured 3.4."""


class Basis(StrEnum):
    """What a forecast rests on."""

    MODEL = "model"
    MEDIAN = "median"
    """Too few labels, or labels that all agree: the text was not asked."""


@dataclass(frozen=True, slots=True)
class EffortForecast:
    """What a task will probably take, in the team's own unit.

    Attributes:
        p50: as likely more as less; it has the least expected absolute error.
        p85: more with a chance of 15 %.
        p95: more with a chance of 5 %.
        median: of the team's labels, the baseline to compare with.
        labels: how many labels the scale rests on.
        basis: whether the text was asked.
        model_version: of the model that was asked.
    """

    p50: float
    p85: float
    p95: float
    median: float
    labels: int
    basis: Basis
    model_version: int


@dataclass(frozen=True, slots=True)
class EffortModel:
    """The shared part: weights of hashed words, and how words are weighted. It says nothing about a team's scale.

    Attributes:
        version: 0 before the first round, one more after each.
        weights: `DIMENSIONS` long, single precision.
        velocity: the server's momentum, as long; only training reads it.
        statistics: how texts become rows; the same in all versions of a training.
    """

    version: int
    weights: array[float]
    velocity: array[float]
    statistics: FeatureStatistics

    @classmethod
    def untrained(cls, statistics: FeatureStatistics) -> EffortModel:
        """Version 0: every text scores 0, so every forecast is a quantile of the team's own labels."""
        zeroes = array("f", bytes(4 * DIMENSIONS))
        return cls(0, zeroes, zeroes, statistics)

    def row(self, text: TaskText) -> SparseRow:
        """A text as the model sees it."""
        return self.statistics.weigh(raw_features(text))

    def score(self, text: TaskText) -> float:
        """How large a task the text describes, in log-odds; comparable only within one version."""
        return dot(self.row(text), self.weights)


def dot(row: SparseRow, weights: array[float]) -> float:
    """Their product, added from left to right; `sum` would round differently from Python 3.12 on."""
    total = 0.0
    for index, value in zip(row.indices, row.values, strict=True):
        total += value * weights[index]
    return total


def fit_team(
    model: EffortModel, texts: Sequence[RawFeatures], efforts: Sequence[float], weighting: Weighting = WEIGHTING
) -> TeamHistory:
    """What a team's labels say on top of a model.

    Args:
        model: the version that is to forecast.
        texts: of the labelled tasks, oldest first.
        efforts: beside them, in the team's own unit.
        weighting: of the precedents.

    Raises:
        InvalidInputError: no labels, or as many texts as labels there are not.
    """
    rows = [model.statistics.weigh(text) for text in texts]
    return fit_history(rows, [dot(row, model.weights) for row in rows], efforts, weighting)


def forecast_effort(model: EffortModel, team: TeamHistory, text: TaskText) -> EffortForecast:
    """Forecast a task's effort.

    Args:
        model: the version that `team` was fitted with.
        team: from at least one label.
        text: the task's.
    """
    scale = team.scale
    if not scale.thresholds:
        p85, p95 = (max(scale.median, one) for one in scale.upper)
        return EffortForecast(scale.median, p85, p95, scale.median, scale.labels, Basis.MEDIAN, model.version)
    row = model.row(text)
    score, moved = dot(row, model.weights), team.scale_for(row)
    p50, p85, p95 = (moved.quantile(score, probability) for probability in (0.5, 0.85, 0.95))
    return EffortForecast(p50, p85, p95, scale.median, scale.labels, Basis.MODEL, model.version)


def check_weights(name: str, weights: Sequence[float]) -> None:
    """Refuse weights that no training makes.

    Args:
        name: of what they are, for the message.
        weights: `DIMENSIONS` of them.

    Raises:
        InvalidInputError: another number of them, one that is not finite, or one beyond `WEIGHT_MAX`.
    """
    if len(weights) != DIMENSIONS:
        raise InvalidInputError(f"{name}: {len(weights)} numbers instead of {DIMENSIONS}", reason="MODEL_INVALID")
    largest = max(map(abs, weights))
    # NaN compares false with everything, so max may pass over it; a sum never does.
    if not (largest <= WEIGHT_MAX and math.isfinite(sum(weights))):
        raise InvalidInputError(
            f"{name}: contains a number that is not finite or beyond {WEIGHT_MAX:g}", reason="MODEL_INVALID"
        )
