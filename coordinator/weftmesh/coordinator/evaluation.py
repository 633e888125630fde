"""How good a model is on the nodes' own tasks: a strategy of Flower that trains nothing and averages metrics."""

from __future__ import annotations

from collections.abc import Iterable

import structlog

from weftmesh.coordinator.strategy import why_unusable
from weftmesh.core.errors import InvalidInputError
from weftmesh.runtime.flower import ArrayRecord, ConfigRecord, FedAvg, Grid, Message, MetricRecord
from weftmesh.runtime.training_messages import ARRAYS, CONFIG, WEIGHT, read_evaluation

log = structlog.get_logger("weftmesh.coordinator.evaluation")


class FederatedEvaluation(FedAvg):
    """Asks every node how good a model is, and takes the weighted means.

    Args:
        contributors_min: an evaluation by fewer nodes than this does not start, and of fewer there is no result.
        replies_min: usable replies that make a mean; 1 where secure aggregation has made one of all of them.

    Raises:
        InvalidInputError: contributors_min is below 1.
    """

    def __init__(self, *, contributors_min: int, replies_min: int | None = None) -> None:
        if contributors_min < 1:
            raise InvalidInputError(f"an evaluation needs contributors_min >= 1, not {contributors_min}")
        super().__init__(
            fraction_train=0.0,
            min_evaluate_nodes=contributors_min,
            min_available_nodes=contributors_min,
            weighted_by_key=WEIGHT,
            arrayrecord_key=ARRAYS,
            configrecord_key=CONFIG,
        )
        self._replies_min = contributors_min if replies_min is None else replies_min

    @property
    def contributors_min(self) -> int:
        """Nodes without which an evaluation does not start."""
        return int(self.min_evaluate_nodes)

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Send the model to every node, in the order of their numbers: sums of floats depend on it."""
        messages = super().configure_evaluate(server_round, arrays, config, grid)
        return sorted(messages, key=lambda message: message.metadata.dst_node_id)

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """The weighted means; none when too few replies are usable."""
        usable = [reply for reply in replies if _is_usable(reply)]
        return super().aggregate_evaluate(server_round, usable) if len(usable) >= self._replies_min else None


def _is_usable(reply: Message) -> bool:
    try:
        read_evaluation(reply)
    except InvalidInputError as error:
        log.info("an evaluation is left out", number=reply.metadata.src_node_id, why=why_unusable(reply, error))
        return False
    return True
