"""One round from one committed model: enough nodes are there before Flower starts, because it would wait for ever."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from weftmesh.coordinator.evaluation import FederatedEvaluation
from weftmesh.coordinator.strategy import SteppingFedAvg
from weftmesh.core.errors import PreconditionError
from weftmesh.runtime.flower import ConfigRecord, Grid
from weftmesh.runtime.training_messages import ConfigValue, model_arrays, model_of


class TooFewContributorsError(PreconditionError):
    """Fewer nodes take part, or answered, than the job asks for."""

    reason = "TOO_FEW_CONTRIBUTORS"


@dataclass(frozen=True, slots=True)
class RoundResult:
    """What one round made.

    Attributes:
        model: the next version's bytes.
        metrics: weighted means over the learners.
    """

    model: bytes
    metrics: Mapping[str, float]


def run_round(
    strategy: SteppingFedAvg, grid: Grid, model: bytes, config: Mapping[str, ConfigValue], timeout_s: float
) -> RoundResult:
    """Train one round; blocks, so call it on a worker thread.

    Args:
        strategy: how the next model is made.
        grid: whose nodes take part.
        model: the base version's bytes.
        config: settings for the learners.
        timeout_s: for the learners' work.

    Raises:
        TooFewContributorsError: nothing was sent, or too few usable replies came and nothing changed.
        RoundAbandonedError: secure aggregation ended without a sum.
        LeadershipLostError: another node leads now.
        InvalidInputError: the model is not one of the strategy's step, or too large to send.
    """
    taking_part = _require_enough(grid, strategy.contributors_min)
    result = strategy.start(
        grid, model_arrays(model), num_rounds=1, timeout=timeout_s, train_config=ConfigRecord(dict(config))
    )
    if not len(result.arrays):
        raise TooFewContributorsError(
            f"too few of {taking_part} nodes answered with a usable update: the model stays as it was"
        )
    return RoundResult(model_of(result.arrays), _numbers(result.train_metrics_clientapp.get(1)))


def run_evaluation(
    strategy: FederatedEvaluation, grid: Grid, model: bytes, config: Mapping[str, ConfigValue], timeout_s: float
) -> Mapping[str, float]:
    """Evaluate one model; blocks, so call it on a worker thread.

    Args:
        strategy: how the answers are averaged.
        grid: whose nodes take part.
        model: the candidate's bytes.
        config: settings for the learners.
        timeout_s: for the learners' work.

    Returns:
        Weighted means of the model's metrics.

    Raises:
        TooFewContributorsError: nothing was sent, or too few usable replies came.
        RoundAbandonedError: secure aggregation ended without a sum.
        LeadershipLostError: another node leads now.
        InvalidInputError: the model is too large to send.
    """
    taking_part = _require_enough(grid, strategy.contributors_min)
    result = strategy.start(
        grid, model_arrays(model), num_rounds=1, timeout=timeout_s, evaluate_config=ConfigRecord(dict(config))
    )
    metrics = result.evaluate_metrics_clientapp.get(1)
    if metrics is None:
        raise TooFewContributorsError(f"too few of {taking_part} nodes answered with a usable evaluation: ask again")
    return _numbers(metrics)


def _require_enough(grid: Grid, contributors_min: int) -> int:
    taking_part = len(list(grid.get_node_ids()))
    if taking_part < contributors_min:
        raise TooFewContributorsError(
            f"{taking_part} nodes take part and the job needs {contributors_min}: enable learning on more nodes"
        )
    return taking_part


def _numbers(record: Mapping[str, object] | None) -> dict[str, float]:
    return {name: float(value) for name, value in (record or {}).items() if isinstance(value, int | float)}
