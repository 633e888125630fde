"""What is done next follows from the replicated state, whoever led before."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.coordinator.job_states import NOW_S, JobLog

from weftmesh.coordinator.schedule import (
    TRAINING_GAP_S,
    Abandon,
    Activate,
    Count,
    Evaluate,
    MoveOn,
    Rest,
    Seed,
    Train,
    as_of_s,
    is_due,
    next_step,
)
from weftmesh.core.learning import commands
from weftmesh.core.learning.model import AbandonCause, RoundKind
from weftmesh.core.learning.moments import GAP_S
from weftmesh.learning.v1.learning_pb2 import JobSpec

SPEC = JobSpec(head="effort", goal_version=4)


def test_a_training_begins_with_a_seed_counts_and_trains_to_its_goal() -> None:
    log = JobLog(SPEC)
    assert next_step(log.state(), NOW_S) == Seed()
    seed = log.add()
    assert next_step(log.state(), NOW_S) == Count(log.state().versions[seed])
    untrained = log.add(0, log.round(RoundKind.STATISTICS, seed))
    assert next_step(log.state(), NOW_S) == Train(log.state().versions[untrained])
    trained = log.train(untrained, 1)
    assert next_step(log.state(), NOW_S) == Train(log.state().versions[trained])
    goal = log.train(trained, 2)
    assert next_step(log.state(), NOW_S) == Evaluate(log.state().versions[goal])
    log.judge(goal, 9.0)
    assert next_step(log.state(), NOW_S) == Activate(goal, 0)
    log.by_coordinator(commands.ActivateVersion, version=goal, expected_active=0)
    step = next_step(log.state(), NOW_S)
    assert step == Rest("job effort is at version 4 of 4")
    assert not is_due(log.state(), NOW_S)


def test_a_version_that_is_no_better_than_the_baselines_is_not_activated() -> None:
    log = JobLog(SPEC)
    goal = log.train(log.train(log.begin(), 1), 2)
    log.judge(goal, 10.0)
    assert isinstance(next_step(log.state(), NOW_S), Rest)


def test_versions_between_are_judged_as_often_as_the_job_says() -> None:
    log = JobLog(JobSpec(head="effort", goal_version=9, evaluate_every=3))
    third = log.train(log.begin(), 1)
    assert isinstance(next_step(log.state(), NOW_S), Evaluate)
    log.judge(third, 11.0)
    assert isinstance(next_step(log.state(), NOW_S), Train)
    log.train(third, 2)
    assert isinstance(next_step(log.state(), NOW_S), Train)


def test_a_training_whose_model_nobody_has_begins_anew() -> None:
    log = JobLog(SPEC)
    lost = log.train(log.begin(), 1)
    assert next_step(log.state(), NOW_S, lost={lost}) == Seed()
    seed = log.add()
    assert next_step(log.state(), NOW_S, lost={lost}) == Count(log.state().versions[seed])


def test_an_untrained_version_is_not_judged() -> None:
    log = JobLog(JobSpec(head="effort", goal_version=9, evaluate_every=1))
    log.begin()
    assert isinstance(next_step(log.state(), NOW_S), Train)


def test_a_version_that_cannot_be_judged_now_does_not_stop_the_training() -> None:
    log = JobLog(JobSpec(head="effort", goal_version=9, evaluate_every=3))
    third = log.train(log.begin(), 1)
    assert isinstance(next_step(log.state(), NOW_S, {third}), Train)


def test_a_round_that_was_left_behind_is_given_up_and_done_again() -> None:
    log = JobLog(SPEC)
    base = log.begin()
    left = log.open(RoundKind.TRAINING, base)
    log.node, log.term = "node2", 2
    step = next_step(log.state(), NOW_S)
    assert isinstance(step, Abandon)
    assert step.round_id == left
    assert "node1 of term 1" in step.why
    log.abandon(left)
    assert next_step(log.state(), NOW_S) == Train(log.state().versions[base])


@pytest.mark.parametrize("kind", [RoundKind.STATISTICS, RoundKind.TRAINING])
def test_a_sum_that_was_lost_closes_its_base_version_and_the_training_goes_on_beside_it(kind: RoundKind) -> None:
    log = JobLog(SPEC)
    base = log.add() if kind is RoundKind.STATISTICS else log.begin()
    left = log.round(kind, base)
    step = next_step(log.state(), NOW_S)
    assert isinstance(step, Abandon)
    assert "closed" in step.why
    log.abandon(left)
    if kind is RoundKind.STATISTICS:
        assert next_step(log.state(), NOW_S) == Seed()
    else:
        assert next_step(log.state(), NOW_S) == MoveOn(log.state().versions[base])
        beside = log.add(0, parent=base)
        assert next_step(log.state(), NOW_S) == Train(log.state().versions[beside])


def test_a_version_beside_a_closed_one_is_trained_from_even_at_the_goal() -> None:
    log = JobLog(SPEC)
    third = log.train(log.begin(), 1)
    log.abandon(log.round(RoundKind.TRAINING, third))
    beside = log.add(1, parent=third)
    assert beside == SPEC.goal_version
    assert next_step(log.state(), NOW_S) == Train(log.state().versions[beside])


def test_an_evaluation_that_was_lost_at_the_goal_costs_one_round_more() -> None:
    log = JobLog(SPEC)
    goal = log.train(log.train(log.begin(), 1), 2)
    log.abandon(log.round(RoundKind.EVALUATION, goal))
    assert next_step(log.state(), NOW_S) == Train(log.state().versions[goal])
    log.train(goal, 3)
    assert isinstance(next_step(log.state(), NOW_S), Evaluate)


def test_after_a_rollback_the_training_goes_on_from_the_active_version() -> None:
    log = JobLog(JobSpec(head="effort", goal_version=5, evaluate_every=1))
    third = log.train(log.begin(), 1)
    log.judge(third, 9.0)
    log.by_coordinator(commands.ActivateVersion, version=third, expected_active=0)
    fourth = log.train(third, 2)
    log.judge(fourth, 8.0)
    log.by_coordinator(commands.ActivateVersion, version=fourth, expected_active=third)
    log.apply(commands.RollBack, version=third, expected_active=fourth, why="worse here")
    assert next_step(log.state(), NOW_S) == MoveOn(log.state().versions[third])


def test_no_round_starts_without_enough_contributors_and_says_so() -> None:
    log = JobLog(SPEC)
    log.begin()
    step = next_step(replace(log.state(), contributors=("node1", "node2")), NOW_S)
    assert isinstance(step, Rest)
    assert "at least 3 contributors and 2 can be asked now (node1, node2)" in step.why


def test_a_disabled_job_rests() -> None:
    log = JobLog(SPEC)
    log.apply(commands.SwitchJob, enabled=False)
    assert isinstance(next_step(log.state(), NOW_S), Rest)


@pytest.mark.parametrize("spec", [b"\xff\xff", JobSpec(head="lottery", goal_version=9).SerializeToString()])
def test_a_job_that_this_release_cannot_train_rests(spec: bytes) -> None:
    log = JobLog(SPEC)
    log.apply(commands.DefineJob, spec=spec, contributors_floor=3, threshold_percent=60, version=1)
    step = next_step(log.state(), NOW_S)
    assert isinstance(step, Rest)
    assert "upgrade" in step.why


def test_a_round_is_due_again_after_the_interval() -> None:
    log = JobLog(SPEC, interval_s=600)
    goal = log.train(log.train(log.begin(), 1), 2)
    log.judge(goal, 11.0)
    step = next_step(log.state(), NOW_S + 599)
    assert isinstance(step, Rest)
    assert "due in 1 s" in step.why
    assert next_step(log.state(), NOW_S + 600) == Train(log.state().versions[goal])


def test_rounds_of_one_training_read_the_tasks_as_of_one_moment_and_later_ones_as_of_theirs() -> None:
    log, goal = JobLog(SPEC), SPEC.goal_version
    number = log.begin()
    base = log.state().versions[number]
    assert as_of_s(log.job, base, goal, NOW_S + 100) == NOW_S
    assert as_of_s(log.job, base, goal, NOW_S + TRAINING_GAP_S + 1) == NOW_S + TRAINING_GAP_S + 1
    assert as_of_s(log.job, base, base.number, NOW_S + GAP_S + 0.7) == NOW_S + GAP_S, "beyond the goal is another one"


def test_a_job_takes_no_new_moment_within_an_hour() -> None:
    log = JobLog(SPEC)
    number = log.begin()
    base = log.state().versions[number]
    assert as_of_s(log.job, base, base.number, NOW_S + GAP_S - 0.1) == NOW_S
    assert as_of_s(log.job, base, base.number, NOW_S - 500) == NOW_S, "nor while the clock of a new leader is behind"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [(RoundKind.STATISTICS, Seed), (RoundKind.TRAINING, MoveOn), (RoundKind.EVALUATION, Train)],
)
def test_a_base_version_that_contributors_had_answered_is_as_good_as_closed(
    kind: RoundKind, expected: type[object]
) -> None:
    log = JobLog(JobSpec(head="effort", goal_version=9, evaluate_every=3))
    base = log.add() if kind is RoundKind.STATISTICS else log.begin()
    if kind is RoundKind.EVALUATION:
        base = log.train(base, 1)
    log.abandon(log.open(kind, base))
    again = next_step(log.state(), NOW_S)
    assert not isinstance(again, expected), "a round that was abandoned for another reason is done again"
    log.abandon(log.open(kind, base), AbandonCause.ANSWERED_BEFORE)
    assert isinstance(next_step(log.state(), NOW_S), expected)
