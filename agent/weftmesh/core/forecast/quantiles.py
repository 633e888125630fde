"""Quantiles of times that may be censored, the loss that scores them, and the levels a forecast names."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from weftmesh.core.errors import InvalidInputError

LEVELS: Final = (0.50, 0.85, 0.95)
"""P50, P85 and P95: what half, six in seven and nineteen in twenty tasks do not exceed."""


@dataclass(frozen=True, slots=True)
class Observation:
    """How long something was watched, and whether it ended then; if not, it is censored: it lasts longer than that.

    Raises:
        InvalidInputError: the duration is negative or not finite.
    """

    duration: float
    finished: bool

    def __post_init__(self) -> None:
        if not (math.isfinite(self.duration) and self.duration >= 0):
            raise InvalidInputError(f"a duration is {self.duration}: give a finite number of at least 0")


def empirical_quantile(values: Sequence[float], level: float) -> float:
    """The smallest of the values that a fraction `level` of them does not exceed (nearest rank).

    Raises:
        InvalidInputError: there are no values, or the level is not between 0 and 1.
    """
    _check_level(level)
    if not values:
        raise InvalidInputError("there are no values to take a quantile of")
    return sorted(values)[_rank(level, len(values)) - 1]


def censored_quantile(observations: Iterable[Observation], level: float) -> float:
    """The quantile of durations of which some are censored: E. L. Kaplan, P. Meier, JASA 53 (1958).

    Where nothing is censored it is `empirical_quantile`. Where so much is censored that the level is never reached,
    it is the longest duration seen, which is then too short.

    Raises:
        InvalidInputError: there are no observations, or the level is not between 0 and 1.
    """
    _check_level(level)
    # At equal durations those that ended come first: a censored one was still at risk.
    ordered = sorted(observations, key=lambda one: (one.duration, not one.finished))
    if not ordered:
        raise InvalidInputError("there are no observations to take a quantile of")
    survival = 1.0
    for place, one in enumerate(ordered):
        if one.finished:
            at_risk = len(ordered) - place
            survival *= (at_risk - 1) / at_risk
            if survival <= 1.0 - level + _ROUNDING:
                return one.duration
    return ordered[-1].duration


def pinball_loss(actual: float, forecast: float, level: float) -> float:
    """What a quantile forecast costs, in the unit of its arguments: R. Koenker, G. Bassett, Econometrica 46 (1978).

    Its mean is least at the true quantile: a level of 0.95 is charged 19 times as much for each day too short as for
    each day too long.
    """
    missed = actual - forecast
    return level * missed if missed >= 0 else (level - 1.0) * missed


def _check_level(level: float) -> None:
    if not 0.0 < level < 1.0:
        raise InvalidInputError(f"a quantile's level is {level}: give a number between 0 and 1")


def _rank(level: float, count: int) -> int:
    return min(max(1, math.ceil(level * count - _ROUNDING)), count)


_ROUNDING: Final = 1e-9
"""0.95 * 20 is a hair above 19 in binary; the rank meant is 19."""
