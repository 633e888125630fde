"""Federated averaging with server momentum: Flower's FedAvg takes the mean, this makes the next model of it.

H. B. McMahan et al., "Communication-Efficient Learning of Deep Networks from Decentralized Data" (AISTATS 2017);
T.-M. H. Hsu, H. Qi and M. Brown, "Measuring the Effects of Non-Identical Data Distribution for Federated Visual
Classification" (2019) for the momentum. Learners send changes, so that what is averaged, and masked, stays small.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol

import numpy as np
import structlog

from weftmesh.core.errors import InvalidInputError
from weftmesh.runtime.flower import ArrayRecord, ConfigRecord, FedAvg, Grid, Message, MetricRecord
from weftmesh.runtime.training_messages import (
    ARRAYS,
    CHANGE,
    CONFIG,
    WEIGHT,
    Vector,
    model_arrays,
    model_of,
    read_update,
)

MOMENTUM: Final = 0.9
LEARNING_RATE: Final = 1.0

log = structlog.get_logger("weftmesh.coordinator.strategy")


class ModelCodec(Protocol):
    """How one kind of model keeps its trainable parameters in its bytes."""

    def parameters(self, model: bytes) -> Vector:
        """The parameters, float32 of shape (d,).

        Raises:
            InvalidInputError: these bytes are not a model of this kind.
        """

    def with_parameters(self, model: bytes, parameters: Vector) -> bytes:
        """The same model with other parameters, which have the same shape."""


class MomentumFedAvg(FedAvg):
    """FedAvg that makes a step with momentum: velocity = momentum * velocity + mean change; model += rate * velocity.

    Args:
        codec: of the kind of model that is trained.
        contributors_min: a round with fewer nodes than this does not start, and fewer replies change nothing.
        replies_min: usable replies that make a mean; 1 where secure aggregation has made one of all of them.
        velocity: what the round before left; None for a fresh model.
        momentum: how much of the velocity stays, from 0 to below 1.
        learning_rate: how much of it is applied, above 0.

    Attributes:
        velocity: float32 of shape (d,), to be kept with the model; None until the first mean.

    Raises:
        InvalidInputError: a number is out of its range.
    """

    def __init__(
        self,
        codec: ModelCodec,
        *,
        contributors_min: int,
        replies_min: int | None = None,
        velocity: Vector | None = None,
        momentum: float = MOMENTUM,
        learning_rate: float = LEARNING_RATE,
    ) -> None:
        if contributors_min < 1 or not 0.0 <= momentum < 1.0 or not learning_rate > 0.0:
            raise InvalidInputError(
                f"a strategy needs contributors_min >= 1, 0 <= momentum < 1 and learning_rate > 0, "
                f"not {contributors_min}, {momentum} and {learning_rate}"
            )
        super().__init__(
            # Evaluation is a round of its own: if it fails, the model that was trained is there all the same.
            fraction_evaluate=0.0,
            min_train_nodes=contributors_min,
            min_available_nodes=contributors_min,
            weighted_by_key=WEIGHT,
            arrayrecord_key=ARRAYS,
            configrecord_key=CONFIG,
        )
        self._codec = codec
        self._replies_min = contributors_min if replies_min is None else replies_min
        self._momentum = momentum
        self._learning_rate = learning_rate
        self._model = b""
        self.velocity = velocity

    @property
    def contributors_min(self) -> int:
        """Nodes without which a round does not start."""
        return int(self.min_train_nodes)

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Send the model to every node, in the order of their numbers: sums of floats depend on it."""
        self._model = model_of(arrays)
        messages = super().configure_train(server_round, arrays, config, grid)
        return sorted(messages, key=lambda message: message.metadata.dst_node_id)

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """The next model out of the mean change; none when too few replies are usable."""
        parameters = self._codec.parameters(self._model)
        usable = [reply for reply in replies if self._has_usable_change(reply, parameters.shape)]
        if len(usable) < self._replies_min:
            log.warning("a round changes nothing", usable_replies=len(usable), needed=self._replies_min)
            return None, None
        mean, metrics = super().aggregate_train(server_round, usable)
        if mean is None:
            return None, None
        change: Vector = mean[CHANGE].numpy().astype(np.float32, copy=False)
        with np.errstate(over="ignore", invalid="ignore"):
            velocity = change if self.velocity is None else np.float32(self._momentum) * self.velocity + change
            parameters = parameters + np.float32(self._learning_rate) * velocity
        if not np.isfinite(parameters).all():
            log.warning("a round changes nothing", why="the next model would not be finite")
            return None, None
        self.velocity = velocity
        return model_arrays(self._codec.with_parameters(self._model, parameters)), metrics

    def _has_usable_change(self, reply: Message, shape: tuple[int, ...]) -> bool:
        try:
            update = read_update(reply)
        except InvalidInputError as error:
            log.info("an update is left out", number=reply.metadata.src_node_id, why=why_unusable(reply, error))
            return False
        if update.change.shape != shape:
            log.info("an update is left out", number=reply.metadata.src_node_id, why="it is for another model")
            return False
        return True


def why_unusable(reply: Message, error: InvalidInputError) -> str:
    """What the learner says, or else what is wrong with what it sent."""
    return str(reply.error.reason if reply.has_error() else error)
