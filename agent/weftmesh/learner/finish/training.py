"""A node's half of a finish-time round: sums over its own tasks, exact, so that a federated model is the central one.

Each team's own rates are taken out of the likelihood, since they are known in closed form once the weights are (as N.
Breslow did for D. Cox's model, JRSS B 34 (1972)); the gradient and the curvature of what is left are contributed.
`weftmesh.core.forecast.finish_averaging` says how the vectors are laid out and takes the step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
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
    """What one team, or one node, contributes to a round.

    Attributes:
        vector: means over the tasks.
        weight: how much it counts: the square root of a team's number of tasks, so that no team drowns the others; of a
            node, the sum over its teams.
        loss: the negative logarithm of the likelihood, a mean over the tasks; 0 in the round that standardises.
    """

    vector: Floats
    weight: float
    loss: float = 0.0


def standardise_round(data: FinishData) -> Contribution:
    """A team's part of the round that standardises; shape (2 * features)."""
    return _contribution(np.concatenate([data.features.sum(axis=0), (data.features**2).sum(axis=0)]), data)


def train_round(data: FinishData, model: FinishModel) -> Contribution:
    """A team's part of a training round; shape (`contribution_length(features)`)."""
    x = np.clip((data.features - model.means) / np.array(model.deviations), -DEVIATIONS_MAX, DEVIATIONS_MAX)
    log_effects = np.clip(x @ np.array(model.weights).T, -LOG_EFFECT_MAX, LOG_EFFECT_MAX)
    expected = data.at_risk * np.exp(log_effects)[:, _PHASE_OF]
    exposures = expected.sum(axis=0)
    reached = exposures > 0
    # A task that was resolved the moment it was created was never at risk, and shows nothing about a rate.
    resolved = data.resolutions * reached
    resolutions = resolved.sum(axis=0)
    rates = np.divide(resolutions, exposures, out=np.zeros(INTERVALS), where=reached)
    at_risk_means = np.divide(x.T @ expected, exposures, out=np.zeros((x.shape[1], INTERVALS)), where=reached)
    gradients, curvatures = [], []
    upper = np.triu_indices(x.shape[1])
    for phase in _PHASES:
        middles = at_risk_means[:, phase] * resolutions[phase]
        gradients.append((x.T @ resolved[:, phase] - middles).sum(axis=1))
        curvature = (x * (expected[:, phase] @ rates[phase])[:, None]).T @ x - middles @ at_risk_means[:, phase].T
        curvatures.append(curvature[upper])
    sums = np.concatenate([*gradients, *curvatures, resolutions, exposures])
    log_rates = np.log(rates, out=np.zeros(INTERVALS), where=rates > 0)
    # At a team's own rates the expected resolutions are those that were seen.
    loss = resolutions.sum() - resolutions @ log_rates - (resolved * log_effects[:, _PHASE_OF]).sum()
    return _contribution(sums, data, float(loss))


def together(contributions: Sequence[Contribution]) -> Contribution:
    """The weighted mean of several teams or nodes, with the weight of all of them.

    Raises:
        InvalidInputError: there are none.
    """
    if not contributions:
        raise InvalidInputError("a round needs at least one contribution")
    weight = math.fsum(one.weight for one in contributions)
    vector: Floats = np.zeros(len(contributions[0].vector))
    for one in contributions:
        vector += one.weight / weight * one.vector
    return Contribution(vector, weight, math.fsum(one.weight / weight * one.loss for one in contributions))


def _contribution(sums: Floats, data: FinishData, loss: float = 0.0) -> Contribution:
    tasks = len(data.features)
    return Contribution(np.clip(sums / tasks, -VALUE_MAX, VALUE_MAX), math.sqrt(tasks), loss / tasks)
