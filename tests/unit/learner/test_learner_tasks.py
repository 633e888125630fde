"""Which labels are trained on and which ones judge, and that what comes out is bounded."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.learner.learners import tasks

from weftmesh.core.errors import ForbiddenError, InvalidInputError, PreconditionError
from weftmesh.core.forecast.effort import EffortModel
from weftmesh.core.forecast.features import DocumentCounts, raw_features
from weftmesh.core.forecast.model_bytes import encode_model
from weftmesh.core.forecast.text import TaskText
from weftmesh.core.learning.model import RoundKind
from weftmesh.core.learning.moments import AHEAD_S
from weftmesh.learner.count_noise import COUNT_SIGMA, CountNoise
from weftmesh.learner.effort import EffortTrainer
from weftmesh.learner.local_tasks import LISTING_S, LocalTasks
from weftmesh.learner.node import LabelledTask
from weftmesh.learner.team_file import TeamFile
from weftmesh.learner.trainer import BASELINE_LOSS, MODEL_LOSS, Assignment, RoundTrainer, bounded
from weftmesh.runtime.masking import CLIP
from weftmesh.runtime.round_settings import RoundSettings
from weftmesh.runtime.training_messages import LocalUpdate

TRAINING = RoundSettings("effort", RoundKind.TRAINING)
EVALUATION = RoundSettings("effort", RoundKind.EVALUATION)
COUNTING = RoundSettings("effort", RoundKind.STATISTICS)


class Board:
    """Projects of one node.

    Attributes:
        asked: how often a project was listed.
    """

    def __init__(self, projects: dict[str, list[LabelledTask]]) -> None:
        self.projects = projects
        self.asked = 0
        self.now_s = 0.0
        self.tasks = LocalTasks(self._labelled, lambda: self.now_s)

    def _labelled(self, project_id: str) -> list[LabelledTask]:
        self.asked += 1
        return list(self.projects[project_id])


def made(count: int, seed: int = 1) -> list[LabelledTask]:
    return tasks(random.Random(seed), count)


def untrained() -> bytes:
    return encode_model(EffortModel.untrained(DocumentCounts.of([]).statistics()))


def trainer(board: Board, directory: Path) -> EffortTrainer:
    return EffortTrainer(board.tasks, TeamFile(directory, "effort"), CountNoise(directory))


def test_labels_come_oldest_first_whatever_the_order_of_the_listing() -> None:
    board = Board({"FW": made(20)[::-1]})
    (team,) = board.tasks.teams(["FW"], TRAINING)
    assert list(team.places) == sorted(team.places)
    assert team.efforts == tuple(task.effort for task in made(20))


def test_what_was_written_after_the_moment_is_not_seen() -> None:
    board = Board({"FW": made(20)})
    (team,) = board.tasks.teams(["FW"], replace(TRAINING, as_of_s=1e9 + 9))
    assert len(team.efforts) == 10


def test_a_team_with_too_few_labels_is_left_out() -> None:
    board = Board({"FW": made(20), "WEB": made(7)})
    assert [team.project_id for team in board.tasks.teams(["FW", "WEB"], replace(TRAINING, labels_min=8))] == ["FW"]


def test_the_rounds_of_one_training_list_once_and_another_moment_or_a_minute_later_lists_anew() -> None:
    board = Board({"FW": made(20)})
    settings = replace(TRAINING, as_of_s=2e9)
    first, second = (board.tasks.teams(["FW"], settings)[0] for _ in range(2))
    assert (board.asked, first is second) == (1, True)
    board.now_s = LISTING_S
    board.tasks.teams(["FW"], settings)
    board.tasks.teams(["FW"], replace(settings, as_of_s=3e9))
    board.tasks.teams(["FW"], TRAINING)
    board.tasks.teams(["FW"], TRAINING)
    assert board.asked == 5


def test_a_task_that_was_changed_is_hashed_anew() -> None:
    board = Board({"FW": made(20)})
    (before,) = board.tasks.teams(["FW"], TRAINING)
    board.projects["FW"][3] = replace(board.projects["FW"][3], version=2, text=TaskText("quite another title"))
    (after,) = board.tasks.teams(["FW"], TRAINING)
    assert [one is two for one, two in zip(before.texts, after.texts, strict=True)].count(False) == 1


@given(st.integers(5, 200), st.integers(0, 100), st.booleans())
def test_no_label_that_was_trained_on_ever_judges(count: int, more: int, at_once: bool) -> None:
    """Whatever comes later, and when many tasks were made in the same instant."""
    everything = made(count + more)
    if at_once:
        everything = [replace(task, created_s=1e9) for task in everything]
    random.Random(count).shuffle(everything)
    board = Board({"FW": everything[:count]})
    (team,) = board.tasks.teams(["FW"], TRAINING)
    cut = team.cut()
    trained = set(team.places[: team.known_at(cut)])
    assert 0.75 * count - 1 <= len(trained) <= 0.85 * count + 1
    board.projects["FW"] = everything
    (later,) = board.tasks.teams(["FW"], TRAINING)
    judging = later.places[later.known_at(max(cut, later.cut())) :]
    assert not trained & set(judging)


def test_the_cut_is_kept_for_the_next_process(tmp_path: Path) -> None:
    board = Board({"FW": made(50)})
    trainer(board, tmp_path).train(untrained(), ("FW",), TRAINING)
    board.projects["FW"] = made(50)[:42]
    # By itself a fifth of 42 would be held out, 8; those up to the 40th were trained on.
    found = trainer(board, tmp_path).evaluate(untrained(), ("FW",), EVALUATION)
    assert found.weight == 2


def test_teams_with_other_scales_are_judged_alike(tmp_path: Path) -> None:
    points = made(50)
    hours = [replace(task, effort=10 * task.effort) for task in points]
    (tmp_path / "hours").mkdir()
    one = trainer(Board({"FW": points}), tmp_path).evaluate(untrained(), ("FW",), EVALUATION)
    ten = trainer(Board({"FW": hours}), tmp_path / "hours").evaluate(untrained(), ("FW",), EVALUATION)
    assert one.metrics[BASELINE_LOSS] == pytest.approx(ten.metrics[BASELINE_LOSS])
    assert one.metrics[MODEL_LOSS] == pytest.approx(ten.metrics[MODEL_LOSS])


def test_the_scale_of_a_team_is_kept_and_fitted_again_when_labels_come(tmp_path: Path) -> None:
    board = Board({"FW": made(50)})
    trainer(board, tmp_path).evaluate(untrained(), ("FW",), EVALUATION)
    first = TeamFile(tmp_path, "effort").record("FW")
    assert first.scale is not None
    assert (first.labels, first.scale.median) == (50, median(task.effort for task in made(50)))
    board.projects["FW"] = made(55)
    trainer(board, tmp_path).evaluate(untrained(), ("FW",), EVALUATION)
    assert TeamFile(tmp_path, "effort").record("FW") == first, "five more labels change little"
    board.projects["FW"] = made(60)
    trainer(board, tmp_path).evaluate(untrained(), ("FW",), EVALUATION)
    assert TeamFile(tmp_path, "effort").record("FW").labels == 60


def test_a_node_with_nothing_to_learn_or_to_judge_by_says_so(tmp_path: Path) -> None:
    board = Board({"FW": made(3), "SAME": [replace(task, effort=3.0) for task in made(30)]})
    effort = trainer(board, tmp_path)
    for projects in ((), ("FW",), ("SAME",)):
        with pytest.raises(PreconditionError) as error:
            effort.train(untrained(), projects, TRAINING)
        assert error.value.reason == "NOTHING_TO_LEARN"
    with pytest.raises(PreconditionError) as error:
        effort.evaluate(untrained(), ("FW",), EVALUATION)
    assert error.value.reason == "NOTHING_TO_EVALUATE"


def test_counts_are_of_what_may_be_trained_on_and_every_node_weighs_alike(tmp_path: Path) -> None:
    counted = trainer(Board({"FW": made(50)}), tmp_path).count(("FW",), COUNTING)
    assert counted.weight == 1.0
    counts = DocumentCounts.from_vector(counted.change.tolist())
    assert counts.documents == pytest.approx(40, abs=8 * COUNT_SIGMA)
    exact = DocumentCounts.of(raw_features(task.text) for task in made(50)[:40])
    assert counts.shape_sums == pytest.approx(exact.shape_sums, rel=1e-6)


@pytest.mark.parametrize("settings", [TRAINING, COUNTING, EVALUATION])
def test_nothing_is_done_without_an_assignment(tmp_path: Path, settings: RoundSettings) -> None:
    idle = RoundTrainer({"effort": trainer(Board({}), tmp_path)})
    for work in (idle.train, idle.evaluate):
        with pytest.raises(ForbiddenError, match="outside of a round"):
            work(untrained(), settings.to_config())


def test_a_head_that_this_release_does_not_know_is_refused() -> None:
    idle = RoundTrainer({})
    idle.assign(Assignment("effort", RoundKind.STATISTICS, None, ()))
    with pytest.raises(PreconditionError, match="upgrade this node"):
        idle.train(b"", COUNTING.to_config())


@pytest.mark.parametrize("as_of_s", [0.0, 999.0, 1_001.0])
def test_tasks_are_read_as_of_no_moment_but_those_of_the_mesh(tmp_path: Path, as_of_s: float) -> None:
    busy = RoundTrainer({"effort": trainer(Board({}), tmp_path)}, now=lambda: 1_000.0)
    busy.assign(Assignment("effort", RoundKind.STATISTICS, None, (), 1_000))
    with pytest.raises(ForbiddenError, match="tasks as of"):
        busy.train(b"", replace(COUNTING, as_of_s=as_of_s).to_config())


def test_a_moment_that_is_ahead_of_this_node_s_clock_is_refused_whatever_the_mesh_says(tmp_path: Path) -> None:
    later = 1_000 + AHEAD_S + 1
    busy = RoundTrainer({"effort": trainer(Board({}), tmp_path)}, now=lambda: 1_000.0)
    busy.assign(Assignment("effort", RoundKind.STATISTICS, None, (), later))
    with pytest.raises(PreconditionError, match="set the clocks"):
        busy.train(b"", replace(COUNTING, as_of_s=float(later)).to_config())


def test_an_evaluation_is_not_done_by_a_message_of_type_train(tmp_path: Path) -> None:
    busy = RoundTrainer({"effort": trainer(Board({}), tmp_path)})
    busy.assign(Assignment("effort", RoundKind.EVALUATION, None, ()))
    with pytest.raises(ForbiddenError, match="by a message of type train"):
        busy.train(untrained(), EVALUATION.to_config())
    busy.assign(Assignment("effort", RoundKind.TRAINING, None, ()))
    with pytest.raises(ForbiddenError, match="by a message of type evaluate"):
        busy.evaluate(untrained(), TRAINING.to_config())


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf, CLIP, -CLIP])
def test_an_update_that_fixed_point_would_cut_is_refused(number: float) -> None:
    with pytest.raises(InvalidInputError, match="does not fit a sum"):
        bounded(LocalUpdate(np.array([0.0, number], dtype=np.float32), 2.0))


def test_an_update_that_fits_is_left_as_it_is() -> None:
    update = LocalUpdate(np.array([0.5, -2.0], dtype=np.float32), 2.0)
    assert bounded(update) is update
