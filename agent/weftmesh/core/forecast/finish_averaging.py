"""The coordinator's half of a finish-time training: the model that it begins with, and a Newton step on each mean.

What a node contributes is a flat vector, made of the means over the tasks of each of its teams:

- to the round that standardises, `counts_length` numbers: each feature's mean, each feature's mean square, and 1, all
  of them times the team's weight and added up over its teams;
- to every later one, `contribution_length` numbers: the gradient, one row of features per phase; the upper triangle of
  the curvature, row by row, per phase; the resolutions and the expected exposure, one per interval; all of them means
  over its teams by weight.

All of it adds up over nodes, so that the step is the one that would be taken where all teams' tasks are in one place.
It is here and not beside the nodes' half, because the coordinator may not import the learner.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from typing import Final

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.forecast.cycle_time import INTERVALS, PHASES
from weftmesh.core.forecast.finish_model import FinishModel

ROUNDS: Final = 4
"""How many training rounds follow the one that standardises; the weights have settled by then (docs/forecasts.md). More
would only be further sums over what is nearly the same model."""
RIDGE: Final = 0.3
"""Pull of each weight to 0, per task. It also keeps the curvature invertible whatever noise a sum carries."""
STEP_MAX: Final = 0.5
"""No weight moves further in one round."""
_RATE_MIN: Final = 1e-6
_DEVIATION_MIN: Final = 0.01
"""A feature that varies less is one that does not vary: sums in single precision show as much of a constant one."""


def counts_length(features: int) -> int:
    """How many numbers a node adds up in the round that standardises."""
    return 2 * features + 1


def untrained(sums: Sequence[float]) -> FinishModel:
    """The model that training starts from.

    Args:
        sums: of all contributions to the round that standardises.

    Raises:
        InvalidInputError: they are of no feature, a number is not finite, or the weights add up to nothing.
    """
    *moments, weight = sums or (0.0,)
    if not moments or len(moments) % 2 or not all(map(math.isfinite, moments)) or not 0.0 < weight < math.inf:
        raise InvalidInputError(
            f"{len(sums)} sums are not a finite pair for each feature and a weight above 0: abandon the round and see "
            "that every node runs the same release"
        )
    features = len(moments) // 2
    means = tuple(one / weight for one in moments[:features])
    variances = (square / weight - one * one for one, square in zip(means, moments[features:], strict=True))
    deviations = (math.sqrt(max(variance, 0.0)) for variance in variances)
    return FinishModel(
        version=0,
        means=means,
        # A feature that never varies is 0 after its mean is taken off, whatever it is divided by.
        deviations=tuple(one if one > _DEVIATION_MIN else 1.0 for one in deviations),
        weights=((0.0,) * features,) * PHASES,
        rates=(1.0,) * INTERVALS,
    )


def contribution_length(features: int) -> int:
    """How many numbers a node contributes to every later round."""
    return PHASES * (features + features * (features + 1) // 2) + 2 * INTERVALS


def server_step(model: FinishModel, mean: Sequence[float], ridge: float = RIDGE) -> FinishModel:
    """The next version.

    Args:
        model: the version that the contributions were made from.
        mean: of the contributions, weighted by whatever weights they came with.
        ridge: pull of each weight to 0, per task.

    Raises:
        InvalidInputError: the mean does not fit the model, holds a number that is not finite, or a curvature that no
            data makes.
    """
    features = len(model.means)
    if len(mean) != contribution_length(features) or not all(map(math.isfinite, mean)):
        raise InvalidInputError(
            f"a mean of {len(mean)} numbers does not fit a finish model of {features} features, or holds one that is "
            "not finite: abandon the round and see that every node runs the same release"
        )
    numbers = iter(mean)
    gradients = [list(islice(numbers, features)) for _ in range(PHASES)]
    curvatures = [[list(islice(numbers, features - row)) for row in range(features)] for _ in range(PHASES)]
    weights = (
        _stepped(row, gradient, curvature, ridge)
        for row, gradient, curvature in zip(model.weights, gradients, curvatures, strict=True)
    )
    resolutions, exposures = list(islice(numbers, INTERVALS)), list(islice(numbers, INTERVALS))
    rates = (
        # An interval that nobody has reached keeps its rate.
        max(count / exposed, _RATE_MIN) if exposed > _RATE_MIN else rate
        for count, exposed, rate in zip(resolutions, exposures, model.rates, strict=True)
    )
    return replace(model, version=model.version + 1, weights=tuple(weights), rates=tuple(rates))


def _stepped(
    row: Sequence[float], gradient: Sequence[float], curvature: list[list[float]], ridge: float
) -> tuple[float, ...]:
    """One row of weights after a step uphill, shortened where a weight would move further than STEP_MAX."""
    for diagonal in curvature:
        diagonal[0] += ridge
    step = _solved(curvature, [slope - ridge * weight for slope, weight in zip(gradient, row, strict=True)])
    longest = max(map(abs, step), default=0.0)
    scale = min(1.0, STEP_MAX / longest) if longest else 1.0
    return tuple(weight + scale * one for weight, one in zip(row, step, strict=True))


def _solved(upper: list[list[float]], right: list[float]) -> list[float]:
    """The solution of a symmetric positive definite system, given by its upper triangle; both are used up."""
    size = len(right)
    for pivot in range(size):
        head = upper[pivot][0]
        if not head > 0:
            raise InvalidInputError("the curvature of a finish round is not positive: abandon the round")
        for row in range(pivot + 1, size):
            factor = upper[pivot][row - pivot] / head
            for column in range(row, size):
                upper[row][column - row] -= factor * upper[pivot][column - pivot]
            right[row] -= factor * right[pivot]
    for row in reversed(range(size)):
        known = sum(upper[row][column - row] * right[column] for column in range(row + 1, size))
        right[row] = (right[row] - known) / upper[row][0]
    return right
