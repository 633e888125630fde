"""A whole job of the finish head over real learners in one process: counted, trained, judged, all under masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.unit.learner.learners import Learners, add_version
from tests.unit.learner_finish.boards import NOW_S, Board, board

from weftmesh.coordinator.heads import FinishHead
from weftmesh.core.forecast.finish_averaging import ROUNDS
from weftmesh.core.forecast.finish_bytes import decode_model
from weftmesh.core.forecast.finish_features import FEATURES
from weftmesh.core.learning.model import RoundKind
from weftmesh.learner.finish.teams import FinishTeams
from weftmesh.learner.finish.trainer import HEAD, FinishTrainer
from weftmesh.learner.secrecy import Secrecy
from weftmesh.learner.team_file import TeamFile
from weftmesh.learner.trainer import BASELINE_LOSS, MODEL_LOSS
from weftmesh.learning.v1.learning_pb2 import JobSpec
from weftmesh.runtime.masking import WeightedMean
from weftmesh.runtime.round_settings import RoundSettings

FIXED_POINT = 1e-4


class FinishLearners(Learners):
    """Learners whose job is the finish head."""

    def learner(self, name: str) -> Secrecy:
        number, node = int(name[1:]) + 1, self.nodes[name]
        node.replica.head, node.replica.as_of_s = HEAD, int(NOW_S)
        node.boards = {f"P{name[1:]}": board(number, 80 * number, pace=number)}
        state_dir = self.state_dir(name)
        trainer = FinishTrainer(FinishTeams(node.cycle_times), TeamFile(state_dir, HEAD))
        return Secrecy(name, node, state_dir, {HEAD: trainer}, self.rng)

    def asked(
        self, kind: RoundKind, length: int, version: int, model: bytes = b"", metrics: tuple[str, ...] = ()
    ) -> WeightedMean:
        """What a round of some kind comes to."""
        settings = RoundSettings(HEAD, kind, NOW_S)
        outcome = self.round(kind, length, base_version=version, model=model, metrics=metrics, settings=settings)
        assert outcome.mean is not None, self.refused
        return outcome.mean


@pytest.fixture
def learners(tmp_path: Path) -> FinishLearners:
    return FinishLearners(tmp_path)


def first_model(learners: FinishLearners) -> bytes:
    learners.asked(RoundKind.STATISTICS, FinishHead.counts_length, 1)
    assert learners.total is not None
    return FinishHead().first_model(learners.total[: FinishHead.counts_length].tolist())


def everything_in_one_place(learners: FinishLearners, directory: Path) -> tuple[FinishTrainer, tuple[str, ...]]:
    directory.mkdir()
    boards = {name: tasks for node in learners.nodes.values() for name, tasks in node.boards.items()}
    return FinishTrainer(FinishTeams(Board(boards).tasks), TeamFile(directory, HEAD)), tuple(boards)


def test_a_job_is_trained_under_masks_and_beats_the_teams_own_history(learners: FinishLearners, tmp_path: Path) -> None:
    head, spec = FinishHead(), JobSpec(head=HEAD)
    central, projects = everything_in_one_place(learners, tmp_path / "central")
    model = first_model(learners)
    alone = head.first_model(central.count(projects, RoundSettings(HEAD, RoundKind.STATISTICS, NOW_S)).change.tolist())
    settings = RoundSettings(HEAD, RoundKind.TRAINING, NOW_S)
    for version in range(2, 2 + ROUNDS):
        add_version(learners.replica, version, model)
        step = head.step(spec)
        mean = learners.asked(RoundKind.TRAINING, step.contribution_length(model), version, model, head.train_metrics)
        model = step.advanced(model, mean.update.astype(np.float32))
        alone = step.advanced(alone, central.train(alone, projects, settings).change)
    add_version(learners.replica, 2 + ROUNDS, model)

    trained = decode_model(model)
    assert trained.version == ROUNDS
    assert np.array(trained.weights) == pytest.approx(np.array(decode_model(alone).weights), abs=FIXED_POINT)
    slow, fast = (FEATURES.index(f"kind: {kind}") for kind in ("story", "bug"))
    assert all(row[fast] > row[slow] for row in trained.weights[:3])

    found = learners.asked(RoundKind.EVALUATION, 0, 2 + ROUNDS, model, (MODEL_LOSS, BASELINE_LOSS))
    assert found.weight == 16 + 32 + 48, "a fifth of each team's tasks"
    assert found.metrics[MODEL_LOSS] < found.metrics[BASELINE_LOSS]


def test_counts_are_sums_since_every_node_weighs_alike(learners: FinishLearners) -> None:
    mean = learners.asked(RoundKind.STATISTICS, FinishHead.counts_length, 1)
    assert mean.weight == len(learners.names)
    assert learners.total is not None
    weights = float(learners.total[FinishHead.counts_length - 1])
    assert weights == pytest.approx(sum(np.sqrt(64 * number) for number in (1, 2, 3)), rel=1e-6)


def test_a_node_without_cycle_times_takes_no_part(learners: FinishLearners) -> None:
    silent = learners.names[0]
    learners.nodes[silent].boards = {f"P{silent[1:]}": []}
    outcome = learners.round(
        RoundKind.STATISTICS,
        FinishHead.counts_length,
        base_version=1,
        settings=RoundSettings(HEAD, RoundKind.STATISTICS, NOW_S),
    )
    assert outcome.mean is None, "two are too few"
    assert learners.refused[silent].reason == "NOTHING_TO_LEARN"


def test_no_answer_tells_a_task_s_kind(learners: FinishLearners) -> None:
    for node in learners.nodes.values():
        assert {task.kind for tasks in node.boards.values() for task in tasks} == {"Bug", "Story"}
    first_model(learners)
    heard = b"".join(learners.said)
    assert learners.names[0].encode() in heard
    assert b"Bug" not in heard
    assert b"Story" not in heard
