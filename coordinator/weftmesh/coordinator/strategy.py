"""Federated averaging: Flower's FedAvg takes the mean of what nodes learned, the model's own step makes the next one.

H. B. McMahan et al., "Communication-Efficient Learning of Deep Networks from Decentralized Data" (AISTATS 2017). Nodes
send changes, so that what is averaged, and masked, stays small. Momentum and whatever else a step keeps from one round
to the next is in the model's bytes: the next leader goes on from there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

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
    unpacked,
)

log = structlog.get_logger("weftmesh.coordinator.strategy")


class ServerStep(Protocol):
    """How one kind of model goes on from the mean of what the nodes learned."""

    def contribution_length(self, model: bytes) -> int:
        """Numbers in a node's change.

        Raises:
            InvalidInputError: these bytes are not a model of this kind.
        """

    def mean_length_max(self, update_clip: float) -> float:
        """The longest mean (Euclidean) that nodes make which cut their updates to `update_clip`; infinite for none."""

    def advanced(self, model: bytes, mean: Vector) -> bytes:
        """The next version.

        Args:
            model: the base version's bytes.
            mean: float32 of shape (contribution_length(model),).

        Raises:
            InvalidInputError: the mean is not what training makes, or leads to a model that is not.
        """


class SteppingFedAvg(FedAvg):
    """FedAvg whose mean is a step of the model.

    Args:
        step: of the kind of model that is trained.
        contributors_min: a round with fewer nodes than this does not start, and fewer replies change nothing.
        replies_min: usable replies that make a mean; 1 where secure aggregation has made one of all of them.

    Raises:
        InvalidInputError: contributors_min is below 1.
    """

    def __init__(self, step: ServerStep, *, contributors_min: int, replies_min: int | None = None) -> None:
        if contributors_min < 1:
            raise InvalidInputError(f"a training round needs contributors_min >= 1, not {contributors_min}")
        super().__init__(
            # Evaluation is a round of its own: if it fails, the model that was trained is there all the same.
            fraction_evaluate=0.0,
            min_train_nodes=contributors_min,
            min_available_nodes=contributors_min,
            weighted_by_key=WEIGHT,
            arrayrecord_key=ARRAYS,
            configrecord_key=CONFIG,
        )
        self._step = step
        self._replies_min = contributors_min if replies_min is None else replies_min
        self._model = b""

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
        """The next model; none when too few replies are usable, or when the step refuses their mean."""
        length = self._step.contribution_length(self._model)
        # The grid of another engine than ours gives replies in the order in which they came.
        in_order = sorted(replies, key=lambda reply: reply.metadata.src_node_id)
        usable = [reply for reply in in_order if self._has_usable_change(reply, length)]
        if len(usable) < self._replies_min:
            log.warning("a round changes nothing", usable_replies=len(usable), needed=self._replies_min)
            return None, None
        mean, metrics = super().aggregate_train(server_round, usable)
        if mean is None:
            return None, None
        try:
            model = self._step.advanced(self._model, unpacked(mean[CHANGE]))
        except InvalidInputError as error:
            log.warning("a round changes nothing", why=str(error))
            return None, None
        return model_arrays(model), metrics

    def _has_usable_change(self, reply: Message, length: int) -> bool:
        try:
            update = read_update(reply)
        except InvalidInputError as error:
            log.info("an update is left out", number=reply.metadata.src_node_id, why=why_unusable(reply, error))
            return False
        if update.change.size != length:
            log.info("an update is left out", number=reply.metadata.src_node_id, why="it is for another model")
            return False
        return True


def why_unusable(reply: Message, error: InvalidInputError) -> str:
    """What the learner says, or else what is wrong with what it sent."""
    return str(reply.error.reason if reply.has_error() else error)
