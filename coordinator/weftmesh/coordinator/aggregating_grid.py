"""A Grid for which many learners are one: messages become rounds of secure aggregation, and their sum one reply."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from weftmesh.coordinator.aggregated_round import AggregatedRound, RoundLog
from weftmesh.coordinator.courier import Courier
from weftmesh.coordinator.grid import MeshGrid
from weftmesh.coordinator.sum_bounds import SumBounds
from weftmesh.core.aggregation.coordinator import StageTimeouts
from weftmesh.core.aggregation.roster import Verify
from weftmesh.core.errors import InvalidInputError
from weftmesh.runtime import flower
from weftmesh.runtime.flower import Message, MessageType
from weftmesh.runtime.masking import ContributionLayout, WeightedMean
from weftmesh.runtime.training_messages import LocalEvaluation, LocalUpdate, evaluation_content, update_content


@dataclass(frozen=True, slots=True)
class AggregationSettings:
    """What the rounds of one job look like.

    Attributes:
        update_length: numbers in an update.
        train_metrics: names of the metrics that come with an update.
        evaluation_metrics: names of the metrics of an evaluation.
        timeouts: of the stages.
        bounds: of the sum.
    """

    update_length: int
    train_metrics: tuple[str, ...] = ()
    evaluation_metrics: tuple[str, ...] = ()
    timeouts: StageTimeouts = field(default_factory=StageTimeouts)
    bounds: SumBounds = field(default_factory=SumBounds)


class AggregatingGrid(MeshGrid):
    """Sends nothing outside of secure aggregation.

    A strategy sees one reply: the weighted mean of all contributors, in the name of the first of them, with the sum of
    their weights. It therefore has to take one reply for enough; the round itself refuses a sum of too few.

    Args:
        courier: the way to the learners.
        nodes: who takes part.
        rounds: the replicated log.
        verify: checks the signature of a contributor by its certificate.
        settings: what is in a vector, and how long a stage may take.

    Attributes:
        contributors: whose vectors were in the last sum.
        weight: of all of them together; of an evaluation, how many examples there were.
    """

    def __init__(
        self, courier: Courier, nodes: Iterable[str], rounds: RoundLog, verify: Verify, settings: AggregationSettings
    ) -> None:
        super().__init__(courier, nodes)
        self._rounds = rounds
        self._verify = verify
        self._settings = settings
        self.contributors: tuple[str, ...] = ()
        self.weight = 0.0

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Refused: replies cannot be pulled one by one.

        Raises:
            InvalidInputError: always.
        """
        raise InvalidInputError(f"{len(list(messages))} messages outside of a round: use send_and_receive")

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        """Run a round over messages that are all of type train, or all of type evaluate.

        Args:
            messages: at most one for each node.
            timeout: seconds for the learners' own work, where it is shorter than the settings allow.

        Returns:
            One reply with the weighted mean; none for no messages.

        Raises:
            RoundAbandonedError: there is no sum.
            LeadershipLostError: another node leads now.
            InvalidInputError: messages of another type or of several, two for one node, or the sum makes no sense.
            SumRefusedError: the sum is beyond the settings' bounds.
            WeftmeshError: the replicated log does not allow the round.
        """
        requests = list(messages)
        if not requests:
            return []
        kind, by_node = self._sorted_out(requests)
        layout = self._layout(kind)
        self._courier.require_leading()
        self.missing.clear()
        terms = self._rounds.open(kind, tuple(sorted(by_node)), layout.length)
        work = {node: flower.to_bytes(request) for node, request in by_node.items()}
        timeouts = self._settings.timeouts
        if timeout is not None:
            timeouts = replace(timeouts, masking_s=min(timeouts.masking_s, timeout))
        one_round = AggregatedRound(terms, self._courier, self._rounds, self._verify, work, layout.metrics, timeouts)
        result = one_round.run()
        self.missing.update(result.missing)
        self.contributors = result.contributors
        mean = layout.unpack(result.total)
        self._settings.bounds.check(mean, len(result.contributors))
        self.weight = mean.weight
        return [_reply(kind, mean, by_node[result.contributors[0]])]

    def _sorted_out(self, requests: list[Message]) -> tuple[str, Mapping[str, Message]]:
        kinds = {request.metadata.message_type for request in requests}
        by_node: dict[str, Message] = {}
        for request in requests:
            node = self._numbers.name(request.metadata.dst_node_id)
            if by_node.setdefault(node, request) is not request:
                raise InvalidInputError(f"two messages for {node} in one round")
            self._name(request)
        if len(kinds) != 1 or not kinds <= {MessageType.TRAIN, MessageType.EVALUATE}:
            raise InvalidInputError(f"a round is for train or evaluate, not for {', '.join(sorted(kinds))}")
        return kinds.pop(), by_node

    def _layout(self, kind: str) -> ContributionLayout:
        if kind == MessageType.TRAIN:
            return ContributionLayout(self._settings.update_length, self._settings.train_metrics)
        return ContributionLayout(0, self._settings.evaluation_metrics)


def _reply(kind: str, mean: WeightedMean, request: Message) -> Message:
    if kind == MessageType.TRAIN:
        update = LocalUpdate(mean.update.astype(np.float32), mean.weight, mean.metrics)
        return flower.reply(update_content(update), request)
    return flower.reply(evaluation_content(LocalEvaluation(mean.weight, mean.metrics)), request)
