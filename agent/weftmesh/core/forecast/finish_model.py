"""The part of the finish-time forecast that all teams share: what hastens or slows a task, and by how much."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.forecast.cycle_time import INTERVALS, PHASES

DEVIATIONS_MAX: Final = 4.0
"""A standardised feature is cut to this, so that one odd task cannot move a model or leave its range."""
NUMBER_MAX: Final = 1e9
"""Beyond it no number of a model makes sense, and sums of such numbers would overflow."""
LOG_EFFECT_MAX: Final = 5.0
"""Features hasten or slow a task by at most e^5, about 150 times."""


@dataclass(frozen=True, slots=True)
class FinishModel:
    """What all teams share.

    Attributes:
        version: the number of the committed version; 0 is untrained.
        means: of each feature.
        deviations: of each feature; a feature that never varies has 1.
        weights: for each phase one per feature, of standardised features; logarithm of a hazard's ratio.
        rates: of a team that has no records yet, one per interval, in resolutions per unit of `WIDTHS_S`.

    Raises:
        InvalidInputError: a size does not fit, or a number is not one that training makes: means and weights within
            NUMBER_MAX, deviations and rates between 1 / NUMBER_MAX and NUMBER_MAX.
    """

    version: int
    means: tuple[float, ...]
    deviations: tuple[float, ...]
    weights: tuple[tuple[float, ...], ...]
    rates: tuple[float, ...]

    def __post_init__(self) -> None:
        features = len(self.means)
        sized = len(self.deviations) == features and [len(row) for row in self.weights] == [features] * PHASES
        if not sized or len(self.rates) != INTERVALS:
            raise InvalidInputError(f"a finish model needs {PHASES} rows of weights and {INTERVALS} rates that fit")
        numbers = (*self.means, *(weight for row in self.weights for weight in row))
        positive = (*self.deviations, *self.rates)
        sensible = all(abs(one) <= NUMBER_MAX for one in numbers)
        if not sensible or not all(1 / NUMBER_MAX <= one <= NUMBER_MAX for one in positive):
            raise InvalidInputError("a number of the finish model is none that training makes: train it anew")

    def standardised(self, features: Sequence[float]) -> tuple[float, ...]:
        """Features in deviations from their means.

        Raises:
            InvalidInputError: there are more or fewer features than the model knows, or one is not finite.
        """
        if len(features) != len(self.means) or not all(map(math.isfinite, features)):
            raise InvalidInputError(f"the finish model takes {len(self.means)} finite features, not {len(features)}")
        return tuple(
            min(max((one - mean) / deviation, -DEVIATIONS_MAX), DEVIATIONS_MAX)
            for one, mean, deviation in zip(features, self.means, self.deviations, strict=True)
        )

    def log_effects(self, features: Sequence[float]) -> tuple[float, ...]:
        """By how much the features hasten a task in each phase: logarithms of the hazard's ratio.

        Raises:
            InvalidInputError: the features do not fit the model.
        """
        standardised = self.standardised(features)
        effects = (sum(w * x for w, x in zip(row, standardised, strict=True)) for row in self.weights)
        return tuple(min(max(effect, -LOG_EFFECT_MAX), LOG_EFFECT_MAX) for effect in effects)
