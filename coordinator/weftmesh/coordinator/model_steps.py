"""The models of the forecasts as the strategy sees them: bytes that go on from a mean. Their mathematics is core's."""

from __future__ import annotations

import math
from dataclasses import dataclass

from weftmesh.core.forecast import averaging, finish_averaging, finish_bytes, model_bytes
from weftmesh.core.forecast.features import DIMENSIONS
from weftmesh.runtime.training_messages import Vector


@dataclass(frozen=True, slots=True)
class EffortStep:
    """A step of an effort model; implements ServerStep.

    Attributes:
        momentum: how much of the last step goes on, from 0 to below 1.
    """

    momentum: float = averaging.MOMENTUM

    def contribution_length(self, model: bytes) -> int:
        """As many as there are weights, after a check that this is an effort model."""
        model_bytes.decode_model(model)
        return DIMENSIONS

    def mean_length_max(self, update_clip: float) -> float:
        """A mean of vectors is no longer than the longest of them."""
        return update_clip

    def advanced(self, model: bytes, mean: Vector) -> bytes:
        """See weftmesh.core.forecast.averaging.server_step."""
        base = model_bytes.decode_model(model)
        return model_bytes.encode_model(averaging.server_step(base, mean.tolist(), self.momentum))


@dataclass(frozen=True, slots=True)
class FinishStep:
    """A step of a finish-time model, from version 0 on; implements ServerStep.

    Attributes:
        ridge: pull of each weight to 0, per task.
    """

    ridge: float = finish_averaging.RIDGE

    def contribution_length(self, model: bytes) -> int:
        """What a node adds up for a Newton step."""
        return finish_averaging.contribution_length(len(finish_bytes.decode_model(model).means))

    def mean_length_max(self, update_clip: float) -> float:  # noqa: ARG002, nodes send sums, and not updates
        """None: the step itself bounds how far a weight moves."""
        return math.inf

    def advanced(self, model: bytes, mean: Vector) -> bytes:
        """See weftmesh.core.forecast.finish_averaging.server_step."""
        base = finish_bytes.decode_model(model)
        return finish_bytes.encode_model(finish_averaging.server_step(base, mean.tolist(), self.ridge))
