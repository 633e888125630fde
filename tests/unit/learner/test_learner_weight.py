"""A node with very many labels counts for no more than a node may, whatever its head says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from weftmesh.core.learning.model import RoundKind
from weftmesh.learner.trainer import Assignment, RoundTrainer
from weftmesh.runtime.round_settings import RoundSettings
from weftmesh.runtime.sum_limits import WEIGHT_MAX
from weftmesh.runtime.training_messages import LocalEvaluation, LocalUpdate

CHANGE = np.ones(3, np.float32)


@dataclass
class Heavy:
    """Implements HeadTrainer: every answer has the same weight."""

    weight: float

    def count(self, projects: tuple[str, ...], settings: RoundSettings) -> LocalUpdate:
        return LocalUpdate(CHANGE, self.weight)

    def train(self, model: bytes, projects: tuple[str, ...], settings: RoundSettings) -> LocalUpdate:
        return LocalUpdate(CHANGE, self.weight)

    def evaluate(self, model: bytes, projects: tuple[str, ...], settings: RoundSettings) -> LocalEvaluation:
        return LocalEvaluation(self.weight, {})


@pytest.mark.parametrize("kind", list(RoundKind))
@pytest.mark.parametrize("share", [0.5, 1.0, 50.0])
def test_a_weight_is_cut_to_what_coordinators_take(kind: RoundKind, share: float) -> None:
    most = WEIGHT_MAX[kind]
    one = RoundTrainer({"effort": Heavy(share * most)})
    one.assign(Assignment("effort", kind, None, ()))
    work = one.evaluate if kind is RoundKind.EVALUATION else one.train
    assert work(b"", RoundSettings("effort", kind).to_config()).weight == min(share, 1.0) * most
