"""A team's own scale: private thresholds that turn the shared score of a text into a value the team uses.

The proportional-odds model (McCullagh, "Regression models for ordinal data", JRSS B 1980): a task is worth more than
the middle between levels k and k+1 with probability logistic(score - threshold k). Scores come from weights that all
teams train; levels and thresholds are a team's own and stay on its node.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, median
from typing import Final

from weftmesh.core.errors import InvalidInputError

LEVEL_COUNT_MIN: Final = 3
LEVEL_SHARE_MIN: Final = 0.01
"""A rarer value is no level of its own: a threshold needs labels on both sides."""
LEVELS_MAX: Final = 32
"""A team that estimates in hours has no levels; its values are cut into this many of equal frequency."""
LABELS_MIN: Final = 5
"""With fewer labels the forecast is the median."""
LABELS_NEWEST: Final = 200
"""A team's scale drifts; older labels than these are not asked."""
REFIT_LABELS: Final = 10
"""Thresholds are fitted again after this many new labels."""

_NEWTON_STEPS_MAX: Final = 60
_SHARE_ERROR_MAX: Final = 1e-12


@dataclass(frozen=True, slots=True)
class TeamScale:
    """What a node knows about one team; it never leaves the node.

    Attributes:
        levels: the values the team uses, rising.
        thresholds: one score between each two levels, rising; empty when the median is all there is to say.
        median: of the labels.
        upper: 85th and 95th percentile of the labels, for when there are no thresholds.
        labels: how many labels this rests on.
    """

    levels: tuple[float, ...]
    thresholds: tuple[float, ...]
    median: float
    upper: tuple[float, float]
    labels: int

    def quantile(self, score: float, probability: float) -> float:
        """The smallest level that a task with this score exceeds with probability at most 1 - `probability`.

        At probability 0.5 it is the value with the least expected absolute error.
        """
        highest = score - math.log((1 - probability) / probability)
        for level, threshold in zip(self.levels, self.thresholds, strict=False):
            if highest <= threshold:
                return level
        return self.levels[-1]


def check_effort(effort: float) -> None:
    """Refuse what cannot be an effort.

    Raises:
        InvalidInputError: it is negative or not finite.
    """
    if not (math.isfinite(effort) and effort >= 0):
        raise InvalidInputError(f"effort {effort}: must be a finite number of at least 0; correct the task's estimate")


def levels_of(efforts: Sequence[float]) -> tuple[float, ...]:
    """The levels of a scale, rising: the values used often enough, or up to `LEVELS_MAX` quantiles.

    Returns:
        One level when all labels agree, none when there are none.
    """
    counts = Counter(efforts)
    least = max(LEVEL_COUNT_MIN, LEVEL_SHARE_MIN * len(efforts))
    common = sorted(value for value, count in counts.items() if count >= least)
    if len(common) < 2 or 2 * sum(counts[value] for value in common) < len(efforts):
        common = sorted(counts)
    if len(common) <= LEVELS_MAX:
        return tuple(common)
    ranked = sorted(efforts)
    return tuple(sorted({ranked[(2 * place + 1) * len(ranked) // (2 * LEVELS_MAX)] for place in range(LEVELS_MAX)}))


def middles(levels: Sequence[float]) -> list[float]:
    """What lies half-way between each two neighbouring levels."""
    return [(low + high) / 2 for low, high in pairwise(levels)]


def gap_weights(levels: Sequence[float], efforts: Sequence[float]) -> list[float]:
    """How much it costs to miss each threshold: the gap between its levels over the mean absolute deviation.

    The loss is so a surrogate of the absolute error relative to the median's, and teams with other scales weigh alike.
    """
    middle = median(efforts)
    spread = fmean(abs(effort - middle) for effort in efforts) or 1.0
    return [(high - low) / spread for low, high in pairwise(levels)]


def share_above(efforts: Sequence[float], middle: float) -> float:
    """The share of labels above a threshold, shrunk by half a label from 0 and 1 so that the threshold is finite."""
    return (sum(effort > middle for effort in efforts) + 0.5) / (len(efforts) + 1)


def fit_scale(scores: Sequence[float], efforts: Sequence[float]) -> TeamScale:
    """Fit a team's thresholds: the mean probability to exceed each one becomes the share of labels that do.

    Args:
        scores: of the labelled texts, all from one model version.
        efforts: their labels, in the team's own unit.

    Raises:
        InvalidInputError: no labels, or as many scores as labels there are not.
    """
    if not efforts or len(scores) != len(efforts):
        raise InvalidInputError(
            f"a scale needs as many scores as labels, and one at least: {len(scores)}, {len(efforts)}"
        )
    ranked = sorted(efforts)
    levels = levels_of(efforts)
    thresholds: tuple[float, ...] = ()
    if len(efforts) >= LABELS_MIN and len(levels) > 1:
        thresholds = tuple(fit_threshold(scores, share_above(efforts, middle)) for middle in middles(levels))
    return TeamScale(
        levels, thresholds, median(ranked), (_ranked_at(ranked, 0.85), _ranked_at(ranked, 0.95)), len(ranked)
    )


def fit_threshold(scores: Sequence[float], share: float) -> float:
    """The threshold t with mean(logistic(score - t)) = share, by Newton's method kept within a bracket.

    A larger share gives a smaller threshold, so that the thresholds of a scale rise by themselves.

    Args:
        scores: at least one, finite.
        share: above 0, below 1.
    """
    odds = math.log(share / (1 - share))
    low, high = min(scores) - odds, max(scores) - odds
    threshold = fmean(scores) - odds
    for _ in range(_NEWTON_STEPS_MAX):
        chances = [logistic(score - threshold) for score in scores]
        excess = fmean(chances) - share
        if abs(excess) <= _SHARE_ERROR_MAX:
            break
        low, high = (threshold, high) if excess > 0 else (low, threshold)
        slope = fmean(chance * (1 - chance) for chance in chances)
        newton = threshold + excess / slope if slope > 0 else math.inf
        threshold = newton if low <= newton <= high else (low + high) / 2
    return threshold


def logistic(value: float) -> float:
    """1 / (1 + exp(-value)), by a form that does not overflow."""
    return 0.5 + 0.5 * math.tanh(0.5 * value)


def _ranked_at(ranked: Sequence[float], probability: float) -> float:
    """A percentile by nearest rank."""
    return ranked[max(0, math.ceil(probability * len(ranked)) - 1)]
