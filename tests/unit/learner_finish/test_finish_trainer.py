"""What a node makes of its teams' cycle times: sums that do not depend on which node has which team."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.learner_finish.boards import NOW_S, Board, board

from weftmesh.coordinator.heads import FinishHead
from weftmesh.core.errors import InvalidInputError, PreconditionError
from weftmesh.core.forecast.cycle_time import DAY_S, TaskTimes
from weftmesh.core.forecast.finish_averaging import RIDGE, untrained
from weftmesh.core.forecast.finish_bytes import decode_model, encode_model
from weftmesh.core.forecast.finish_features import FEATURES, BoardTask
from weftmesh.core.learning.model import RoundKind
from weftmesh.learner.finish.teams import FinishTeam, FinishTeams
from weftmesh.learner.finish.trainer import HEAD, FinishTrainer
from weftmesh.learner.local_tasks import LISTING_S
from weftmesh.learner.team_file import TeamFile
from weftmesh.learner.trainer import BASELINE_LOSS, LOSS, MODEL_LOSS
from weftmesh.learning.v1.learning_pb2 import JobSpec
from weftmesh.runtime.masking import ContributionLayout, decode_words
from weftmesh.runtime.round_settings import RoundSettings
from weftmesh.runtime.training_messages import LocalUpdate

COUNTING, TRAINING, EVALUATION = (
    RoundSettings(HEAD, kind, NOW_S) for kind in (RoundKind.STATISTICS, RoundKind.TRAINING, RoundKind.EVALUATION)
)
UNTRAINED = encode_model(untrained([*[0.0] * len(FEATURES), *[1.0] * len(FEATURES), 1.0]))
TEAMS = {f"P{number}": board(number, 12 + 9 * number, pace=0.3 * number) for number in range(1, 7)}
SINGLE_PRECISION = 1e-5


def trainer(tasks: Board, directory: Path) -> FinishTrainer:
    return FinishTrainer(FinishTeams(tasks.tasks), TeamFile(directory, HEAD))


def summed(updates: Sequence[LocalUpdate], metrics: tuple[str, ...]) -> tuple[list[float], ContributionLayout]:
    """As secure aggregation adds them up."""
    layout = ContributionLayout(updates[0].change.size, metrics)
    words = np.zeros(layout.length, dtype=np.uint64)
    for one in updates:
        words += layout.pack(one.change.astype(np.float64), one.weight, one.metrics)
    return decode_words(words).tolist(), layout


@given(st.lists(st.integers(0, 3), min_size=len(TEAMS), max_size=len(TEAMS)))
@settings(max_examples=15, deadline=None)
def test_sums_over_any_split_of_the_teams_are_those_of_one_place(homes: list[int]) -> None:
    nodes = [
        tuple(name for name, home in zip(TEAMS, homes, strict=True) if home == node) for node in sorted(set(homes))
    ]
    with TemporaryDirectory() as directory:
        everything = Board(TEAMS)
        made = [trainer(everything, _new(directory, number)) for number in range(len(nodes) + 1)]
        *apart, together = made
        head = FinishHead()

        sums, layout = summed([node.count(names, COUNTING) for node, names in zip(apart, nodes, strict=True)], ())
        whole = together.count(tuple(TEAMS), COUNTING)
        assert sums[: layout.update_length] == pytest.approx(whole.change.tolist(), abs=1e-3, rel=SINGLE_PRECISION)

        model = head.first_model(whole.change.tolist())
        parts = [node.train(model, names, TRAINING) for node, names in zip(apart, nodes, strict=True)]
        sums, layout = summed(parts, head.train_metrics)
        mean = layout.unpack(np.array(sums))
        central = together.train(model, tuple(TEAMS), TRAINING)
        assert mean.update.tolist() == pytest.approx(central.change.tolist(), abs=SINGLE_PRECISION, rel=1e-4)
        assert mean.weight == pytest.approx(central.weight)
        assert mean.metrics[LOSS] == pytest.approx(central.metrics[LOSS], abs=SINGLE_PRECISION)


def _new(directory: str, number: int) -> Path:
    path = Path(directory) / str(number)
    path.mkdir()
    return path


def test_what_comes_after_the_cut_is_not_trained_on(tmp_path: Path) -> None:
    tasks = board(1)
    team = FinishTeam.of("P", NOW_S, tasks)
    cut_s = team.cut_s()
    assert sum(task.times.created_s <= cut_s for task in tasks) == 48
    rng = random.Random(2)
    other = [
        task
        if task.times.created_s <= cut_s
        else replace(task, times=TaskTimes(task.times.created_s, None), title_characters=rng.randint(1, 500))
        for task in tasks
    ]
    ended_later = [
        replace(task, times=TaskTimes(task.times.created_s, NOW_S))
        if task.times.resolved_s is not None and task.times.resolved_s > cut_s
        else task
        for task in other
    ]
    changes = [
        trainer(Board({"P": one}), _new(str(tmp_path), number)).train(UNTRAINED, ("P",), TRAINING).change
        for number, one in enumerate((tasks, other, ended_later))
    ]
    assert all((one == changes[0]).all() for one in changes)


def test_a_task_that_is_open_at_the_cut_is_trained_on_as_one(tmp_path: Path) -> None:
    tasks = board(1)
    without = [task for task in tasks if task.times.resolved_s is not None]
    weights = [
        trainer(Board({"P": one}), _new(str(tmp_path), number)).train(UNTRAINED, ("P",), TRAINING).weight
        for number, one in enumerate((tasks, without))
    ]
    assert weights[0] > weights[1]


@given(st.integers(10, 120), st.integers(0, 80), st.booleans())
@settings(deadline=None)
def test_no_task_that_was_trained_on_ever_judges(amount: int, more: int, at_once: bool) -> None:
    everything = board(3, amount + more)
    if at_once:
        day_s = {task: NOW_S - 300 * DAY_S + task.times.created_s % DAY_S // 3_600 for task in everything}
        everything = [replace(task, times=TaskTimes(day_s[task], None)) for task in everything]
    everything.sort(key=lambda task: task.times.created_s)
    cut_s = FinishTeam.of("P", NOW_S, everything[:amount]).cut_s()
    trained = [task for task in everything[:amount] if task.times.created_s <= cut_s]
    later = FinishTeam.of("P", NOW_S, everything)
    judging = [task for task in later.tasks if task.times.created_s > max(cut_s, later.cut_s())]
    assert not {id(task) for task in trained} & {id(task) for task in judging}
    assert len(trained) >= 0.75 * amount - 1


def test_the_cut_is_kept_for_the_next_process(tmp_path: Path) -> None:
    tasks = sorted(board(4, 100), key=lambda task: task.times.created_s)
    trainer(Board({"P": tasks}), tmp_path).train(UNTRAINED, ("P",), TRAINING)
    # By itself a fifth of 85 would be held out, 17; those up to the 80th were trained on.
    found = trainer(Board({"P": tasks[:85]}), tmp_path).evaluate(UNTRAINED, ("P",), EVALUATION)
    assert found.weight == 5


def test_the_rounds_of_one_training_ask_once_and_another_moment_or_a_minute_later_asks_again() -> None:
    tasks, now_s = Board({"P": board(1)}), [0.0]
    teams = FinishTeams(tasks.tasks, clock=lambda: now_s[0])
    first, second = (teams.teams(["P"], TRAINING)[0] for _ in range(2))
    assert first is second
    now_s[0] = LISTING_S
    teams.teams(["P"], TRAINING)
    teams.teams(["P"], replace(TRAINING, as_of_s=NOW_S - DAY_S))
    assert tasks.asked == [("P", NOW_S), ("P", NOW_S), ("P", NOW_S - DAY_S)]


def test_without_a_moment_the_present_counts() -> None:
    tasks = Board({"P": board(1)})
    (team,) = FinishTeams(tasks.tasks, now_s=lambda: NOW_S).teams(["P"], replace(TRAINING, as_of_s=0.0))
    assert (team.as_of_s, tasks.asked) == (NOW_S, [("P", NOW_S)])


def test_a_node_with_nothing_to_learn_or_to_judge_by_says_so(tmp_path: Path) -> None:
    never_done = [BoardTask(TaskTimes(NOW_S - number * DAY_S, None), "", 1, 0) for number in range(50)]
    node = trainer(Board({"FEW": board(1, 5), "OPEN": never_done, "NONE": []}), tmp_path)
    for projects in ((), ("FEW",), ("OPEN",), ("NONE",)):
        for work, why in (
            (partial(node.count, projects, COUNTING), "NOTHING_TO_LEARN"),
            (partial(node.train, UNTRAINED, projects, TRAINING), "NOTHING_TO_LEARN"),
            (partial(node.evaluate, UNTRAINED, projects, EVALUATION), "NOTHING_TO_EVALUATE"),
        ):
            with pytest.raises(PreconditionError) as error:
                work()
            assert error.value.reason == why


def test_a_team_with_too_few_resolved_tasks_is_left_out() -> None:
    teams = FinishTeams(Board({"P": board(1, 60), "Q": board(2, 20)}).tasks)
    assert [team.project_id for team in teams.teams(["P", "Q"], replace(TRAINING, labels_min=30))] == ["P"]


def test_a_model_of_another_kind_is_refused(tmp_path: Path) -> None:
    node = trainer(Board({"P": board(1)}), tmp_path)
    for work in (lambda: node.train(b"WMSEED", ("P",), TRAINING), lambda: node.evaluate(b"", ("P",), EVALUATION)):
        with pytest.raises(InvalidInputError, match="cannot be used"):
            work()


def test_what_leaves_fits_the_fixed_point_whatever_a_team_did(tmp_path: Path) -> None:
    odd = [BoardTask(TaskTimes(0.0, 0.0), "", 10**9, 10**9)] * 20
    odd += [BoardTask(TaskTimes(NOW_S - 1.0, NOW_S), "", 0, 0)] * 20
    node = trainer(Board({"P": odd}), tmp_path)
    for update in (node.count(("P",), COUNTING), node.train(UNTRAINED, ("P",), TRAINING)):
        assert np.isfinite(update.change).all()
        assert np.abs(update.change).max() <= 1_000 * np.sqrt(len(odd))


def test_a_model_that_knows_the_kinds_is_better_than_the_team_s_history(tmp_path: Path) -> None:
    boards = {f"P{number}": board(number, 200, pace=number) for number in (1, 2, 3)}
    node, head = trainer(Board(boards), tmp_path), FinishHead()
    model = head.first_model(node.count(tuple(boards), COUNTING).change.tolist())
    losses = []
    for _ in range(3):
        update = node.train(model, tuple(boards), TRAINING)
        pull = RIDGE / 2 * sum(weight**2 for row in decode_model(model).weights for weight in row)
        losses.append(update.metrics[LOSS] + pull)
        model = head.step(JobSpec()).advanced(model, update.change)
    assert losses[0] > losses[1] > losses[2], "what a Newton step goes down"
    found = node.evaluate(model, tuple(boards), EVALUATION)
    assert found.weight == 3 * 40
    assert found.metrics[MODEL_LOSS] < 0.9 * found.metrics[BASELINE_LOSS]
