"""A model and a team's own history on tasks that both had not seen."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.learner_finish.boards import NOW_S, board

from weftmesh.core.forecast.cycle_time import DAY_S, TaskTimes
from weftmesh.core.forecast.finish_averaging import untrained
from weftmesh.core.forecast.finish_features import FEATURES, BoardTask
from weftmesh.core.forecast.quantiles import LEVELS, pinball_loss
from weftmesh.learner.finish.evaluation import Verdict, judge
from weftmesh.learner.finish.teams import FinishTeam

NOTHING = untrained([*[0.0] * len(FEATURES), *[1.0] * len(FEATURES), 1.0])


def steady(days: float, amount: int = 40) -> list[BoardTask]:
    """One task a day, each of which takes as long."""
    created = (NOW_S - 100 * DAY_S + number * DAY_S for number in range(amount))
    return [BoardTask(TaskTimes(at_s, at_s + days * DAY_S), "Bug", 10, 0) for at_s in created]


def test_a_team_whose_tasks_all_take_as_long_has_no_loss_by_its_history() -> None:
    team = FinishTeam.of("P", NOW_S, steady(5.0))
    verdict = judge(NOTHING, team, team.cut_s())
    assert verdict.forecasts == 8
    assert verdict.history_loss == 0.0
    assert verdict.model_loss > 0.0


def test_a_loss_by_hand() -> None:
    *known, asked = steady(2.0, 11)
    late = replace(asked, times=TaskTimes(asked.times.created_s, asked.times.created_s + 8 * DAY_S))
    team = FinishTeam.of("P", NOW_S, [*known, late])
    # Six days later than each level says, over a mean of two.
    expected = sum(pinball_loss(8.0, 2.0, level) for level in LEVELS) / 2.0
    assert judge(NOTHING, team, known[-1].times.resolved_s or 0.0).forecasts == 0
    # At the creation of the one before, all but the last two of ten were done.
    assert judge(NOTHING, team, known[-1].times.created_s).history_loss == pytest.approx(expected)


def test_an_open_task_is_scored_by_the_time_it_was_watched() -> None:
    known, watched_s = steady(2.0, 20), 3 * DAY_S
    young = BoardTask(TaskTimes(NOW_S - watched_s, None), "Bug", 10, 0)
    team = FinishTeam.of("P", NOW_S, [*known, young])
    expected = sum(pinball_loss(3.0, 2.0, level) for level in LEVELS) / 2.0
    assert judge(NOTHING, team, NOW_S - 5 * DAY_S).history_loss == pytest.approx(expected)
    newborn = FinishTeam.of("P", NOW_S, [*known, replace(young, times=TaskTimes(NOW_S, None))])
    assert judge(NOTHING, newborn, NOW_S - 5 * DAY_S) == Verdict(1, 0.0, 0.0), "nothing was seen of it yet"


def test_what_a_task_became_after_the_moment_does_not_count() -> None:
    tasks = board(5, 80)
    ended_later = [
        replace(task, times=TaskTimes(task.times.created_s, NOW_S + 9 * DAY_S))
        if task.times.resolved_s is None
        else task
        for task in tasks
    ]
    verdicts = [judge(NOTHING, team, team.cut_s()) for team in (FinishTeam.of("P", NOW_S, tasks), _team(ended_later))]
    assert verdicts[0] == verdicts[1]


def _team(tasks: list[BoardTask]) -> FinishTeam:
    return FinishTeam.of("P", NOW_S, tasks)


def test_pace_and_history_go_on_while_a_team_is_judged() -> None:
    faster = [*steady(20.0, 10), *(shifted(task, 40.0) for task in steady(1.0, 40))]
    first = sum(pinball_loss(1.0, 20.0, level) for level in LEVELS) / 20.0
    assert judge(NOTHING, _team(faster), faster[10].times.created_s - 1.0).history_loss < 0.75 * 40 * first


def shifted(task: BoardTask, days: float) -> BoardTask:
    times = task.times
    assert times.resolved_s is not None
    return replace(task, times=TaskTimes(times.created_s + days * DAY_S, times.resolved_s + days * DAY_S))


def test_a_team_of_months_weighs_like_one_of_days() -> None:
    def losses(factor: float) -> float:
        tasks = [_slower(task, factor) for task in board(6, 80) if task.times.resolved_s is not None]
        return judge(NOTHING, _team(tasks), _team(tasks).cut_s()).history_loss

    assert losses(2.0) == pytest.approx(losses(1.0))


def _slower(task: BoardTask, factor: float) -> BoardTask:
    """As if all had happened `factor` times as slowly up to NOW_S."""
    times = task.times
    assert times.resolved_s is not None
    return replace(
        task, times=TaskTimes(NOW_S - factor * (NOW_S - times.created_s), NOW_S - factor * (NOW_S - times.resolved_s))
    )


def test_without_a_resolved_task_there_is_nothing_to_compare_with() -> None:
    never = [BoardTask(TaskTimes(NOW_S - number * DAY_S, None), "", 1, 0) for number in range(20)]
    team = _team(never)
    assert judge(NOTHING, team, team.cut_s()) == Verdict()
    assert judge(NOTHING, team, NOW_S) == Verdict()
