"""What a record shows about the rates, and the curve that rates make."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.forecast.cycle_time import (
    DAY_S,
    EDGES_S,
    HOUR_S,
    INTERVALS,
    REMAINING_S_MAX,
    WIDTHS_S,
    HazardCurve,
    TaskTimes,
    exposure,
    interval_at,
)

FOR_EVER_S = 1e15
CURVES = st.lists(st.floats(1e-4, 20), min_size=INTERVALS, max_size=INTERVALS).map(HazardCurve)
DURATIONS_S = st.floats(0, 4_000 * DAY_S)
LEVEL = st.floats(0.01, 0.99)


def constant(per_day: float) -> HazardCurve:
    return HazardCurve([per_day * width_s / DAY_S for width_s in WIDTHS_S])


def test_a_record_counts_the_time_at_risk_in_each_interval() -> None:
    # Edges are at 0, 10 min, 1 h, 4 h, 12 h: it was resolved half way through the third interval.
    shown = exposure(TaskTimes(1_000.0, 1_000.0 + 2.5 * HOUR_S), now_s=1e6, half_life_s=FOR_EVER_S)

    assert shown.at_risk == pytest.approx((1, 1, 0.5))
    assert shown.resolved_in == 2
    assert shown.resolution == pytest.approx(1)


def test_an_open_task_was_at_risk_until_now() -> None:
    shown = exposure(TaskTimes(0.0, None), now_s=2 * HOUR_S, half_life_s=FOR_EVER_S, open_weight=0.5)

    assert shown.at_risk == pytest.approx((0.5, 0.5, 0.5 / 3))
    assert shown.resolved_in is None


def test_a_later_resolution_is_not_known_yet() -> None:
    now_s = 5 * HOUR_S

    assert exposure(TaskTimes(0.0, 9e9), now_s, DAY_S) == exposure(TaskTimes(0.0, None), now_s, DAY_S)


def test_the_past_counts_half_after_a_half_life() -> None:
    times = TaskTimes(0.0, 600.0)

    early = exposure(times, now_s=600.0, half_life_s=10 * DAY_S)
    late = exposure(times, now_s=600.0 + 10 * DAY_S, half_life_s=10 * DAY_S)

    assert (early.resolution, late.resolution) == pytest.approx((1.0, 0.5))
    assert late.at_risk[0] == pytest.approx(early.at_risk[0] / 2)


def test_a_past_that_fades_at_once_leaves_nothing() -> None:
    shown = exposure(TaskTimes(0.0, 900 * DAY_S), now_s=1_000 * DAY_S, half_life_s=1.0)

    assert (*shown.at_risk, shown.resolution) == (0.0,) * (len(shown.at_risk) + 1)


@given(DURATIONS_S)
def test_time_at_risk_adds_up_to_the_cycle_time(duration_s: float) -> None:
    shown = exposure(TaskTimes(0.0, duration_s), now_s=5_000 * DAY_S, half_life_s=FOR_EVER_S)

    total_s = sum(at_risk * width_s for at_risk, width_s in zip(shown.at_risk, WIDTHS_S, strict=False))
    assert total_s == pytest.approx(duration_s, rel=1e-4, abs=1.0)
    assert shown.resolved_in == interval_at(duration_s) == len(shown.at_risk) - 1


def test_an_edge_belongs_to_the_interval_before_it() -> None:
    assert [interval_at(one) for one in (0.0, EDGES_S[1], EDGES_S[1] + 1, EDGES_S[-1] + 1)] == [0, 0, 1, INTERVALS - 1]


def test_a_constant_rate_is_an_exponential_distribution() -> None:
    curve = constant(per_day=0.1)

    for level in (0.01, 0.5, 0.85, 0.95):
        assert curve.quantile_s(level) == pytest.approx(-math.log(1 - level) / 0.1 * DAY_S)
        # It has no memory: what was waited so far shortens nothing.
        assert curve.quantile_s(level, 40 * DAY_S) == pytest.approx(40 * DAY_S + curve.quantile_s(level))


@given(CURVES, LEVEL, LEVEL, DURATIONS_S)
def test_quantiles_rise_with_their_level(curve: HazardCurve, one: float, other: float, open_for_s: float) -> None:
    low, high = sorted((one, other))

    assert open_for_s <= curve.quantile_s(low, open_for_s) <= curve.quantile_s(high, open_for_s)


@given(CURVES, LEVEL, DURATIONS_S, DURATIONS_S)
def test_waiting_never_brings_the_end_nearer_to_the_beginning(
    curve: HazardCurve, level: float, one: float, other: float
) -> None:
    less_s, more_s = sorted((one, other))

    assert curve.quantile_s(level, less_s) <= curve.quantile_s(level, more_s) * (1 + 1e-9)


@given(CURVES, LEVEL)
def test_a_quantile_is_reached_with_its_level(curve: HazardCurve, level: float) -> None:
    quantile_s = curve.quantile_s(level)

    if quantile_s < REMAINING_S_MAX:
        assert curve.finished_by(quantile_s) == pytest.approx(level)


@pytest.mark.parametrize("rate", [0.0, -1.0, math.nan, math.inf])
def test_senseless_rates_are_refused(rate: float) -> None:
    with pytest.raises(InvalidInputError, match="positive rates"):
        HazardCurve([1.0] * (INTERVALS - 1) + [rate])
    with pytest.raises(InvalidInputError, match="positive rates"):
        HazardCurve([1.0])


@pytest.mark.parametrize(("level", "open_for_s"), [(0, 0), (1, 0), (math.nan, 0), (0.5, -1), (0.5, math.nan)])
def test_a_senseless_question_is_refused(level: float, open_for_s: float) -> None:
    with pytest.raises(InvalidInputError):
        constant(1.0).quantile_s(level, open_for_s)


@pytest.mark.parametrize(
    ("created_s", "resolved_s"),
    [(10.0, 9.0), (math.nan, None), (1.0, math.inf), (1.0, math.nan), (-1.0, None), (1e300, None)],
)
def test_senseless_times_are_refused(created_s: float, resolved_s: float | None) -> None:
    with pytest.raises(InvalidInputError):
        TaskTimes(created_s, resolved_s)


@pytest.mark.parametrize(("now_s", "half_life_s", "open_weight"), [(-1, 1, 1), (1, 0, 1), (1, 1, 2), (math.nan, 1, 1)])
def test_a_senseless_weighting_is_refused(now_s: float, half_life_s: float, open_weight: float) -> None:
    with pytest.raises(InvalidInputError):
        exposure(TaskTimes(0.0, None), now_s, half_life_s, open_weight)
