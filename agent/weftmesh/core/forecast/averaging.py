"""The coordinator's half of a training round: one step along the mean of the nodes' updates.

Federated averaging (McMahan et al., AISTATS 2017) with server momentum (Hsu et al., "Measuring the effects of
non-identical data distribution", 2019). It is here and not beside the nodes' half, because the coordinator may not
import the learner; 16,393 numbers take a few milliseconds without numpy.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Final

from weftmesh.core.forecast.effort import EffortModel, check_weights

ROUNDS: Final = 60
"""Fixed in advance; with the settings of a node's half it comes to the centralised optimum (docs/forecasts.md)."""
MOMENTUM: Final = 0.9


def server_step(model: EffortModel, mean_update: Sequence[float], momentum: float = MOMENTUM) -> EffortModel:
    """The next version: velocity = momentum * velocity + mean update; weights = weights + velocity.

    Args:
        model: the version that the updates were made from.
        mean_update: the nodes' updates, averaged by their weights; as long as the weights.
        momentum: how much of the last step goes on, from 0 to below 1.

    Raises:
        InvalidInputError: the update, or what it leads to, is not what training makes (see `check_weights`).
    """
    check_weights("mean update", mean_update)
    velocity = [momentum * before + update for before, update in zip(model.velocity, mean_update, strict=True)]
    weights = [before + step for before, step in zip(model.weights, velocity, strict=True)]
    check_weights(f"model version {model.version + 1}", weights)
    return EffortModel(model.version + 1, array("f", weights), array("f", velocity), model.statistics)
