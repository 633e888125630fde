"""The three kinds of rounds, each from one version to its result; they block and run on a worker thread."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from weftmesh.coordinator.aggregated_round import AggregatedRound
from weftmesh.coordinator.aggregating_grid import AggregatingGrid, AggregationSettings
from weftmesh.coordinator.courier import Courier, CourierLimits
from weftmesh.coordinator.evaluation import FederatedEvaluation
from weftmesh.coordinator.heads import Head
from weftmesh.coordinator.mesh_rounds import MeshRounds
from weftmesh.coordinator.strategy import SteppingFedAvg
from weftmesh.coordinator.sum_bounds import SumBounds
from weftmesh.coordinator.training_round import RoundResult, run_evaluation, run_round
from weftmesh.core.aggregation.coordinator import StageTimeouts
from weftmesh.core.learning.model import HeadSums, Job, Metric, RoundKind
from weftmesh.learning.v1.learning_pb2 import JobSpec
from weftmesh.runtime import flower
from weftmesh.runtime.flower import MessageType
from weftmesh.runtime.masking import ContributionLayout
from weftmesh.runtime.round_settings import RoundSettings, noise_settings
from weftmesh.runtime.sum_limits import WEIGHT_MAX
from weftmesh.runtime.training_messages import instruction

TIMEOUTS: Final = StageTimeouts(
    advertising_s=60.0, sharing_s=15.0, masking_s=110.0, committing_s=15.0, unmasking_s=15.0
)
"""The first stage includes the start of learners; a node carries no question that may take longer than two minutes."""
MODEL_LOSS: Final = "model_loss"
BASELINE_LOSS: Final = "baseline_loss"
EXAMPLES: Final = "examples"
SETTINGS_OF_SPEC: Final = ("local_steps", "learning_rate", "l2", "update_clip", "labels_min")
"""0 in a specification stands for the default of RoundSettings."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """What one round is about.

    Attributes:
        job: its row.
        spec: of the job.
        head: what the specification names.
        contributors: nodes to ask, sorted.
        as_of_s: see `schedule.as_of_s`.
    """

    job: Job
    spec: JobSpec
    head: Head
    contributors: tuple[str, ...]
    as_of_s: int

    def settings(self, kind: RoundKind) -> RoundSettings:
        """What learners are told."""
        given = {name: value for name in SETTINGS_OF_SPEC if (value := getattr(self.spec, name))}
        given |= noise_settings(self.job.noise)
        return RoundSettings(self.spec.head, kind, float(self.as_of_s), **given)

    def bounds(self, kind: RoundKind, length_max: float = math.inf) -> SumBounds:
        """What an honest sum keeps to; none with noise, which is longer than what it hides."""
        return SumBounds() if self.job.noise is not None else SumBounds(WEIGHT_MAX[kind], length_max)

    @property
    def timeouts(self) -> StageTimeouts:
        """The specification's, for each stage, or this release's."""
        if not self.spec.stage_timeout_ms:
            return TIMEOUTS
        stage_s = min(self.spec.stage_timeout_ms / 1_000, TIMEOUTS.masking_s)
        return StageTimeouts(stage_s, stage_s, stage_s, stage_s, stage_s)


class RoundRunner:
    """Runs the rounds of one assignment.

    Args:
        assignment: what they are about.
        rounds: the sum's place in the replicated log, new for each round.
        courier: the way to the learners, by `rounds`.
    """

    def __init__(self, assignment: Assignment, rounds: MeshRounds, courier: Courier) -> None:
        self._assignment = assignment
        self._rounds = rounds
        self._courier = courier

    def count(self, rng: random.Random) -> bytes:
        """A statistics round; the untrained model that follows from it.

        Raises:
            WeftmeshError: there is no sum, or it is not what counting makes.
        """
        one = self._assignment
        layout = ContributionLayout(one.head.counts_length)
        self._courier.require_leading()
        terms = self._rounds.open(MessageType.TRAIN, one.contributors, layout.length)
        message = flower.instruct(
            instruction(b"", one.settings(RoundKind.STATISTICS).to_config()), MessageType.TRAIN, 1, "statistics"
        )
        flower.set_message_id(message, str(rng.getrandbits(32)))
        work = dict.fromkeys(one.contributors, flower.to_bytes(message))
        summing = AggregatedRound(terms, self._courier, self._rounds, self._rounds.verify, work, (), one.timeouts)
        # Every node's weight is 1: the weighted sum is the sum.
        result = summing.run()
        if one.job.noise is None:
            # Beside thousands of counts, what a clip leaves of a weight of 1 drowns in noise.
            one.bounds(RoundKind.STATISTICS).check(layout.unpack(result.total), len(result.contributors))
        return one.head.first_model(result.total[: layout.update_length].tolist())

    def train(self, model: bytes) -> RoundResult:
        """A training round from a model to the next.

        Raises:
            WeftmeshError: see `training_round.run_round`.
        """
        one = self._assignment
        step = one.head.step(one.spec)
        strategy = SteppingFedAvg(step, contributors_min=one.job.contributors_floor, replies_min=1)
        told = one.settings(RoundKind.TRAINING)
        settings = AggregationSettings(
            step.contribution_length(model),
            one.head.train_metrics,
            timeouts=one.timeouts,
            bounds=one.bounds(RoundKind.TRAINING, step.mean_length_max(told.update_clip)),
        )
        return run_round(strategy, self._grid(settings), model, told.to_config(), one.timeouts.masking_s)

    def evaluate(self, model: bytes) -> HeadSums:
        """An evaluation round of a model.

        Raises:
            WeftmeshError: see `training_round.run_evaluation`.
        """
        one = self._assignment
        strategy = FederatedEvaluation(contributors_min=one.job.contributors_floor, replies_min=1)
        bounds = one.bounds(RoundKind.EVALUATION)
        settings = AggregationSettings(0, (), (MODEL_LOSS, BASELINE_LOSS), timeouts=one.timeouts, bounds=bounds)
        grid = self._grid(settings)
        config = one.settings(RoundKind.EVALUATION).to_config()
        means = run_evaluation(strategy, grid, model, config, one.timeouts.masking_s)
        return _sums(one.spec.head, means, grid.weight)

    def _grid(self, settings: AggregationSettings) -> AggregatingGrid:
        return AggregatingGrid(
            self._courier, self._assignment.contributors, self._rounds, self._rounds.verify, settings
        )


def limits_for(timeouts: StageTimeouts) -> CourierLimits:
    """Of a courier: no question outlasts the longest stage."""
    return CourierLimits(timeout_s=max(timeouts.masking_s, timeouts.advertising_s))


def metrics_of(means: Mapping[str, float], **further: float) -> tuple[Metric, ...]:
    """Figures of a version, by name."""
    return tuple(Metric(name, value) for name, value in sorted({**means, **further}.items()))


def _sums(head: str, means: Mapping[str, float], examples: float) -> HeadSums:
    return HeadSums(head, examples, means[MODEL_LOSS] * examples, means[BASELINE_LOSS] * examples)
