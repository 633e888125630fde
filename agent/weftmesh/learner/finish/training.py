"""A node's half of a finish-time round: sums over its own tasks, exact, so that a federated model is the central one.

A node takes its own rates out of the likelihood, since they are known in closed form once the weights are (N. Breslow
did so for D. Cox's model, JRSS B 34 (1972)), and contributes the gradient and the curvature of what is left.
`weftmesh.core.forecast.finish_averaging` says how the vectors are laid out and takes the step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.forecast.cycle_time import INTERVALS, PHASE_OF, PHASE_STARTS
from weftmesh.core.forecast.finish_model import DEVIATIONS_MAX, LOG_EFFECT_MAX, FinishModel
from weftmesh.learner.finish.data import FinishData, Floats

VALUE_MAX: Final = 1_000.0
"""What a contribution's numbers are cut to, so that they fit a fixed-point sum; a real one stays below 200."""
_PHASE_OF: Final = np.array(PHASE_OF)
_PHASES: Final = [slice(begin, end) for begin, end in zip(PHASE_STARTS, (*PHASE_STARTS[1:], INTERVALS), strict=True)]


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one node contributes to a round.

    Attributes:
        vector: means over the node's tasks.
        weight: how much the node counts: the square root of its number of tasks, so that no team drowns the others.
    """

    vector: Floats
    weight: float


def standardise_round(data: FinishData) -> Contribution:
    """The round that standardises; shape (2 * features)."""
    return _contribution(np.concatenate([data.features.sum(axis=0), (data.features**2).sum(axis=0)]), data)


def train_round(data: FinishData, model: FinishModel) -> Contribution:
    """A training round; shape (`contribution_length(features)`)."""
    x = np.clip((data.features - model.means) / np.array(model.deviations), -DEVIATIONS_MAX, DEVIATIONS_MAX)
    effects = np.exp(np.clip(x @ np.array(model.weights).T, -LOG_EFFECT_MAX, LOG_EFFECT_MAX))
    expected = data.at_risk * effects[:, _PHASE_OF]
    resolutions, exposures = data.resolutions.sum(axis=0), expected.sum(axis=0)
    reached = exposures > 0
    rates = np.divide(resolutions, exposures, out=np.zeros(INTERVALS), where=reached)
    at_risk_means = np.divide(x.T @ expected, exposures, out=np.zeros((x.shape[1], INTERVALS)), where=reached)
    gradients, curvatures = [], []
    upper = np.triu_indices(x.shape[1])
    for phase in _PHASES:
        middles = at_risk_means[:, phase] * resolutions[phase]
        gradients.append((x.T @ data.resolutions[:, phase] - middles).sum(axis=1))
        curvature = (x * (expected[:, phase] @ rates[phase])[:, None]).T @ x - middles @ at_risk_means[:, phase].T
        curvatures.append(curvature[upper])
    return _contribution(np.concatenate([*gradients, *curvatures, resolutions, exposures]), data)


def mean_of(contributions: list[Contribution]) -> list[float]:
    """The weighted mean, which is all that a coordinator sees of the contributions.

    Raises:
        InvalidInputError: there are none.
    """
    if not contributions:
        raise InvalidInputError("a round needs at least one contribution")
    weights = [one.weight for one in contributions]
    mean: list[float] = np.average([one.vector for one in contributions], axis=0, weights=weights).tolist()
    return mean


def _contribution(sums: Floats, data: FinishData) -> Contribution:
    tasks = len(data.features)
    return Contribution(np.clip(sums / tasks, -VALUE_MAX, VALUE_MAX), math.sqrt(tasks))
