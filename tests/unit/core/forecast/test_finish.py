"""A team's rates, and the forecast and dates that follow."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.forecast.cycle_time import DAY_S, HOUR_S, INTERVALS, PHASES, WIDTHS_S, TaskTimes
from weftmesh.core.forecast.finish import ASKED_LEVELS, FinishForecast, forecast_finish
from weftmesh.core.forecast.finish_model import FinishModel
from weftmesh.core.forecast.finish_pace import PaceSettings, TeamPace, team_pace

NOW_S = 1_000 * DAY_S
PER_DAY = 0.1
MODEL = FinishModel(
    version=3,
    means=(1.0,),
    deviations=(2.0,),
    weights=((0.5,),) * PHASES,
    rates=tuple(PER_DAY * width_s / DAY_S for width_s in WIDTHS_S),
)
AVERAGE = (1.0,)
Record = tuple[TaskTimes, tuple[float, ...]]


@st.composite
def records(draw: st.DrawFn) -> Record:
    created_s = draw(st.floats(0, NOW_S))
    took_s = draw(st.none() | st.floats(0, 900 * DAY_S))
    return TaskTimes(created_s, None if took_s is None else created_s + took_s), (draw(st.floats(-5, 5)),)


TEAMS = st.lists(records(), max_size=20)


def quantiles(pace: TeamPace, open_for_s: float = 0.0) -> tuple[float, ...]:
    return forecast_finish(MODEL, pace, AVERAGE, open_for_s).cycle_times_s


def test_a_team_without_records_has_the_shared_rates() -> None:
    pace = team_pace(MODEL, [], NOW_S)

    assert pace.rates == pytest.approx(MODEL.rates)
    assert pace.history_s is None
    assert quantiles(pace) == pytest.approx([-math.log(1 - q) / PER_DAY * DAY_S for q in ASKED_LEVELS])


def test_a_feature_hastens_by_its_weight() -> None:
    pace = team_pace(MODEL, [], NOW_S)

    # (3 - 1) / 2 deviations above the mean, weight 0.5: e^0.5 times as fast.
    fast = forecast_finish(MODEL, pace, (3.0,)).cycle_times_s
    assert fast == pytest.approx([one / math.exp(0.5) for one in quantiles(pace)])


def test_rates_computed_by_hand() -> None:
    # Two tasks of half an hour: two resolutions in [10 min, 1 h), at risk 2 * 1 and 2 * 0.4 of its width.
    records = [(TaskTimes(NOW_S - 0.5 * HOUR_S, NOW_S), AVERAGE)] * 2
    settings = PaceSettings(half_life_s=1e15, prior_resolutions=1.0, prior_tasks=4.0)
    shared = [PER_DAY * 600 / DAY_S, PER_DAY * 3_000 / DAY_S]

    pace = team_pace(MODEL, records, NOW_S, settings)

    speed = (2 + 4) / (2 * shared[0] + 0.8 * shared[1] + 4)
    assert pace.rates[0] == pytest.approx((0 + 1) / (2 + 1 / (speed * shared[0])), rel=1e-3)
    assert pace.rates[1] == pytest.approx((2 + 1) / (0.8 + 1 / (speed * shared[1])), rel=1e-3)
    assert (pace.tasks, pace.resolved, pace.history_tasks, pace.history_s) == (2, 2, 2, (1_800.0,) * 3)


@given(TEAMS, st.floats(0, 800 * DAY_S))
def test_another_open_task_never_shortens(team: list[Record], age_s: float) -> None:
    more = [*team, (TaskTimes(NOW_S - age_s, None), AVERAGE)]

    before, after = quantiles(team_pace(MODEL, team, NOW_S)), quantiles(team_pace(MODEL, more, NOW_S))

    assert all(late >= early * (1 - 1e-9) for early, late in zip(before, after, strict=True))


@given(TEAMS, records())
def test_what_is_not_known_yet_is_not_used(team: list[Record], other: Record) -> None:
    as_of_s = NOW_S / 2
    known = [(times.known_at(as_of_s), x) for times, x in team if times.created_s <= as_of_s]

    assert team_pace(MODEL, team, as_of_s) == team_pace(MODEL, known, as_of_s)


@given(TEAMS, st.floats(0, 3_000 * DAY_S), st.floats(0, 3_000 * DAY_S), st.floats(-9, 9))
def test_forecasts_rise_with_level_and_waiting(team: list[Record], one: float, other: float, x: float) -> None:
    pace = team_pace(MODEL, team, NOW_S)
    less_s, more_s = sorted((one, other))

    early = forecast_finish(MODEL, pace, (x,), less_s).cycle_times_s
    late = forecast_finish(MODEL, pace, (x,), more_s).cycle_times_s

    assert all(low <= high for low, high in pairwise(late))
    assert late[0] >= more_s
    assert all(before <= after * (1 + 1e-9) for before, after in zip(early, late, strict=True))


def test_dates_are_of_the_zone_that_is_asked_for() -> None:
    forecast = FinishForecast((1 * HOUR_S, 25 * HOUR_S, 49 * HOUR_S), 0.0, None, 0, 0, 1)
    # The night in which Berlin's clocks go from 2:00 to 3:00.
    now = datetime(2026, 3, 28, 22, 30, tzinfo=UTC)

    assert forecast.dates(now, UTC) == (date(2026, 3, 28), date(2026, 3, 29), date(2026, 3, 30))
    assert forecast.dates(now, ZoneInfo("Europe/Berlin")) == (date(2026, 3, 29), date(2026, 3, 30), date(2026, 3, 31))


def test_a_present_without_a_zone_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="no time zone"):
        FinishForecast((1.0, 2.0, 3.0), 0.0, None, 0, 0, 1).dates(datetime(2026, 1, 1), UTC)


def test_the_oldest_task_still_has_time_left() -> None:
    age_s = 900 * DAY_S
    pace = team_pace(MODEL, [(TaskTimes(NOW_S - age_s, None), AVERAGE)], NOW_S)

    forecast = forecast_finish(MODEL, pace, AVERAGE, age_s)

    assert all(left_s > 0 for left_s in forecast.remaining_s())


@pytest.mark.parametrize("features", [(), (1.0, 2.0), (math.nan,), (math.inf,)])
def test_features_that_do_not_fit_are_refused(features: tuple[float, ...]) -> None:
    with pytest.raises(InvalidInputError, match="features"):
        forecast_finish(MODEL, team_pace(MODEL, [], NOW_S), features)


@pytest.mark.parametrize(
    ("means", "deviations", "weights", "rates"),
    [
        ((1.0, 1.0), (1.0,), ((0.0,),) * PHASES, (1.0,) * INTERVALS),
        ((1.0,), (0.0,), ((0.0,),) * PHASES, (1.0,) * INTERVALS),
        ((1.0,), (1.0,), ((math.nan,),) * PHASES, (1.0,) * INTERVALS),
        ((1.0,), (1.0,), ((0.0,),) * PHASES, (0.0,) * INTERVALS),
        ((1.0,), (1.0,), ((0.0,),) * PHASES, (1e300,) * INTERVALS),
        ((1e300,), (1.0,), ((0.0,),) * PHASES, (1.0,) * INTERVALS),
        ((1.0,), (1.0,), ((0.0,),), (1.0,) * INTERVALS),
        ((1.0,), (1.0,), ((0.0,),) * PHASES, (1.0,)),
    ],
)
def test_numbers_that_make_no_model_are_refused(
    means: tuple[float, ...],
    deviations: tuple[float, ...],
    weights: tuple[tuple[float, ...], ...],
    rates: tuple[float, ...],
) -> None:
    with pytest.raises(InvalidInputError):
        FinishModel(1, means, deviations, weights, rates)


@pytest.mark.parametrize("half_life_s", [0.0, -1.0, math.nan, math.inf])
def test_a_senseless_half_life_is_refused(half_life_s: float) -> None:
    with pytest.raises(InvalidInputError, match="half-life"):
        PaceSettings(half_life_s=half_life_s)


@pytest.mark.parametrize("prior", [0.0, -1.0, math.nan])
def test_a_senseless_prior_is_refused(prior: float) -> None:
    with pytest.raises(InvalidInputError, match="priors"):
        PaceSettings(prior_resolutions=prior)
    with pytest.raises(InvalidInputError, match="priors"):
        PaceSettings(prior_tasks=prior)
