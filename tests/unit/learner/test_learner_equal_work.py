"""What a coordinator chooses is not a way to ask one node about itself."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
from tests.unit.learner.learners import Learners, add_version

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.forecast.effort import EffortModel
from weftmesh.core.forecast.features import DIMENSIONS, DocumentCounts, raw_features
from weftmesh.core.forecast.model_bytes import decode_model, encode_model
from weftmesh.core.learning.model import RoundKind
from weftmesh.learner.trainer import LOSS
from weftmesh.learner.training.round import TrainingSettings, train_round
from weftmesh.learner.training.team import TeamData
from weftmesh.runtime.round_settings import RoundSettings

HONEST = RoundSettings("effort", RoundKind.TRAINING)


def untrained(learners: Learners) -> bytes:
    """Version 1, committed."""
    tasks = [task for node in learners.nodes.values() for made in node.tasks.values() for task in made]
    counts = DocumentCounts.of(raw_features(task.text) for task in tasks)
    model = encode_model(EffortModel.untrained(counts.statistics()))
    add_version(learners.replica, 1, model)
    return model


def alone(learners: Learners, name: str, model: bytes) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The direction of what one node learns."""
    (made,) = learners.nodes[name].tasks.values()
    labels = made[: len(made) * 4 // 5]
    base = decode_model(model)
    data = TeamData.of([raw_features(one.text) for one in labels], [one.effort for one in labels], base.statistics)
    change = train_round([data], base, TrainingSettings()).change.astype(np.float64)
    return change / float(np.linalg.norm(change))


def test_a_node_s_update_does_not_show_when_the_others_are_told_to_send_next_to_nothing(tmp_path: Path) -> None:
    learners = Learners(tmp_path)
    model = untrained(learners)
    silenced = replace(HONEST, update_clip=1e-6)
    told = dict.fromkeys(("n01", "n02"), silenced)
    with suppress(InvalidInputError):  # weights that are noise may add up to less than nothing
        learners.round(RoundKind.TRAINING, DIMENSIONS, base_version=1, model=model, metrics=(LOSS,), told=told)
    assert learners.total is not None, learners.refused
    seen = learners.total[:DIMENSIONS]
    assert abs(float(seen @ alone(learners, "n00", model))) < 0.1 * float(np.linalg.norm(seen))


def test_a_coordinator_does_not_learn_how_many_labels_a_node_has_by_asking_for_so_many(tmp_path: Path) -> None:
    learners = Learners(tmp_path, labels=40)
    model = untrained(learners)
    reasons = set()
    for labels_min in (40, 41):
        settings = replace(HONEST, labels_min=labels_min)
        learners.round(RoundKind.TRAINING, DIMENSIONS, base_version=1, model=model, metrics=(LOSS,), settings=settings)
        reasons.add(tuple(learners.refused[name].reason if name in learners.refused else "" for name in learners.names))
    assert reasons == {("NOT_ASSIGNED",) * 3}
