"""Features are of the moment that a task is created, and of nothing later."""

from __future__ import annotations

import math
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.forecast.cycle_time import DAY_S, HOUR_S, TaskTimes
from weftmesh.core.forecast.finish_features import FEATURES, BoardTask, TeamHistory


def task(created_s: float, took_s: float | None = None, kind: str = "Bug") -> BoardTask:
    return BoardTask(TaskTimes(created_s, None if took_s is None else created_s + took_s), kind, 20, 0)


def named(history: TeamHistory, one: BoardTask) -> dict[str, float]:
    return dict(zip(FEATURES, history.features(one), strict=True))


TASKS = st.builds(
    task,
    st.floats(0, 100 * DAY_S),
    st.none() | st.floats(0, 100 * DAY_S),
    st.sampled_from(["Bug", "Story", "Chore"]),
)


@given(st.lists(TASKS, max_size=25), TASKS)
def test_nothing_later_is_used(tasks: list[BoardTask], asked: BoardTask) -> None:
    at_s = asked.times.created_s
    before = [
        BoardTask(TaskTimes(one.times.created_s, None), one.kind, 20, 0)
        if one.times.resolved_s is not None and one.times.resolved_s >= at_s
        else one
        for one in tasks
        if one.times.created_s < at_s
    ]

    assert TeamHistory([*tasks, asked]).features(asked) == pytest.approx(TeamHistory(before).features(asked), abs=1e-6)


@given(st.lists(TASKS, max_size=25), TASKS)
def test_every_feature_is_a_finite_number(tasks: list[BoardTask], asked: BoardTask) -> None:
    row = TeamHistory(tasks).features(asked)

    assert len(row) == len(FEATURES)
    assert all(map(math.isfinite, row))


def test_load_counted_by_hand() -> None:
    now_s = 50 * DAY_S
    # Three are open; two were resolved and three created within the last 30 days.
    tasks = [task(0), task(30 * DAY_S, DAY_S), task(35 * DAY_S, DAY_S), task(40 * DAY_S), task(10 * DAY_S)]

    load = named(TeamHistory(tasks), task(now_s))

    assert load["open tasks per resolution"] == pytest.approx(math.log(4 / 3))
    assert load["creations per resolution"] == pytest.approx(math.log(4 / 3))
    assert load["age of open tasks"] == pytest.approx(math.log1p((50 + 10 + 40) / 3))


def test_a_slow_kind_has_a_slower_pace() -> None:
    history = TeamHistory(
        [task(day * DAY_S, (9 if day % 2 else 1) * DAY_S, "Epic" if day % 2 else "Bug") for day in range(40)]
    )
    epic, bug = task(90 * DAY_S, kind="epic"), task(90 * DAY_S, kind="BUG")

    assert named(history, epic)["pace of its kind"] > 0 > named(history, bug)["pace of its kind"]
    assert named(history, epic)["kind: epic"] == named(history, bug)["kind: bug"] == 1


def test_the_week_is_the_teams_own() -> None:
    friday_2300_utc = task(1_774_652_400.0)  # 2026-03-27T23:00Z, Saturday in Tokyo

    assert named(TeamHistory([]), friday_2300_utc)["end of the week"] == 1
    assert named(TeamHistory([], ZoneInfo("Asia/Tokyo")), friday_2300_utc)["weekend"] == 1


def test_tasks_created_together_are_seen() -> None:
    history = TeamHistory([task(day * HOUR_S / 4) for day in range(4)])

    assert named(history, task(HOUR_S))["created just before it"] == pytest.approx(math.log1p(4))


def test_a_negative_length_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="negative length"):
        BoardTask(TaskTimes(0.0, None), "Bug", -1, 0)
