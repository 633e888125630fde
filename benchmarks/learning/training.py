"""Three ways to come by weights: alone, all labels in one place, or federated; all by the product's own functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from hashlib import sha256
from operator import add
from typing import Final

from benchmarks.learning.dataset import Rows
from weftmesh.core.forecast.averaging import MOMENTUM, ROUNDS, server_step
from weftmesh.core.forecast.effort import EffortModel
from weftmesh.core.forecast.features import DocumentCounts, FeatureStatistics
from weftmesh.learner.count_noise import with_noise
from weftmesh.learner.effort import HEAD
from weftmesh.learner.training.round import TrainingSettings, mean_update, train_round
from weftmesh.learner.training.team import TeamData

FEDERATED: Final = TrainingSettings()
LOCAL: Final = TrainingSettings(local_steps=1, l2=1e-2)
"""A team alone has less to learn from and needs a stronger pull to 0; `--validation` compares others."""
CENTRALISED: Final = TrainingSettings(local_steps=1)
STEPS_TO_OPTIMUM: Final = 400
"""Single steps with momentum 0.9; the benchmark prints how far the last one still went."""


def statistics_of(nodes: Mapping[str, Rows]) -> FeatureStatistics:
    """What the nodes' counts add up to, each with the noise of its node."""
    counts = [
        with_noise(DocumentCounts.of(rows.texts), HEAD, sha256(name.encode()).digest()) for name, rows in nodes.items()
    ]
    return reduce(add, counts).statistics()


def federated(nodes: Mapping[str, Rows], settings: TrainingSettings = FEDERATED, rounds: int = ROUNDS) -> EffortModel:
    """Train over nodes of one team each. The mean is taken in the clear here; over a mesh it is aggregated securely."""
    statistics = statistics_of(nodes)
    teams = [[TeamData.of(rows.texts, rows.efforts, statistics)] for rows in nodes.values()]
    return _rounds(teams, EffortModel.untrained(statistics), settings, rounds)


def centralised(nodes: Mapping[str, Rows], settings: TrainingSettings = CENTRALISED) -> EffortModel:
    """All labels on one node, to the optimum."""
    statistics = reduce(add, [DocumentCounts.of(rows.texts) for rows in nodes.values()]).statistics()
    teams = [TeamData.of(rows.texts, rows.efforts, statistics) for rows in nodes.values()]
    return _rounds([teams], EffortModel.untrained(statistics), settings, STEPS_TO_OPTIMUM)


def local(rows: Rows, settings: TrainingSettings = LOCAL) -> EffortModel:
    """One team alone: its labels, its word counts, to the optimum."""
    return centralised({"": rows}, settings)


def _rounds(
    nodes: Sequence[Sequence[TeamData]], model: EffortModel, settings: TrainingSettings, rounds: int
) -> EffortModel:
    for _ in range(rounds):
        mean = mean_update([train_round(teams, model, settings) for teams in nodes])
        model = server_step(model, mean.tolist(), MOMENTUM)
    return model
