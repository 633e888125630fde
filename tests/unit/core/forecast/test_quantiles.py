"""Quantiles with and without censoring, and the loss that scores them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.forecast.quantiles import Observation, censored_quantile, empirical_quantile, pinball_loss

DURATIONS = st.floats(0, 1e6)
LEVEL = st.floats(0.01, 0.99)
OBSERVATIONS = st.lists(st.builds(Observation, DURATIONS, st.booleans()), min_size=1, max_size=40)


def test_a_quantile_is_a_value_by_nearest_rank() -> None:
    values = [float(one) for one in range(20, 0, -1)]

    assert [empirical_quantile(values, level) for level in (0.5, 0.85, 0.95)] == [10, 17, 19]


def test_a_censored_quantile_computed_by_hand() -> None:
    seen = [(1, True), (2, False), (3, True), (4, False), (5, True)]
    observations = [Observation(duration, finished) for duration, finished in seen]

    # Survival: 4/5 after 1, 4/5 * 2/3 = 8/15 after 3, 0 after 5.
    assert censored_quantile(observations, 0.20) == 1
    assert censored_quantile(observations, 0.46) == 3
    assert censored_quantile(observations, 0.50) == 5


@given(st.lists(DURATIONS, min_size=1, max_size=40), LEVEL)
def test_without_censoring_both_quantiles_are_the_same(durations: list[float], level: float) -> None:
    observations = [Observation(duration, finished=True) for duration in durations]

    assert censored_quantile(observations, level) == empirical_quantile(durations, level)


@given(OBSERVATIONS, st.integers(0, 39), LEVEL)
def test_forgetting_an_end_never_shortens(observations: list[Observation], place: int, level: float) -> None:
    forgetful = list(observations)
    place %= len(observations)
    forgetful[place] = Observation(observations[place].duration, finished=False)

    assert censored_quantile(forgetful, level) >= censored_quantile(observations, level)


@given(OBSERVATIONS, LEVEL, LEVEL)
def test_quantiles_rise_with_their_level(observations: list[Observation], one: float, other: float) -> None:
    low, high = sorted((one, other))

    assert censored_quantile(observations, low) <= censored_quantile(observations, high)


@given(st.lists(DURATIONS, min_size=1, max_size=30), LEVEL, DURATIONS)
def test_no_forecast_costs_less_than_the_quantile(values: list[float], level: float, other: float) -> None:
    best = empirical_quantile(values, level)

    def cost(forecast: float) -> float:
        return sum(pinball_loss(value, forecast, level) for value in values)

    assert cost(best) <= cost(other) + 1e-6 * (1 + cost(other))


def test_too_short_costs_more_at_a_high_level() -> None:
    assert pinball_loss(10, 6, 0.95) == pytest.approx(3.8)
    assert pinball_loss(6, 10, 0.95) == pytest.approx(0.2)


@pytest.mark.parametrize("level", [0, 1, -0.1, math.nan])
def test_a_level_out_of_range_is_refused(level: float) -> None:
    with pytest.raises(InvalidInputError, match="between 0 and 1"):
        empirical_quantile([1.0], level)
    with pytest.raises(InvalidInputError, match="between 0 and 1"):
        censored_quantile([Observation(1.0, finished=True)], level)


def test_no_values_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="no values"):
        empirical_quantile([], 0.5)
    with pytest.raises(InvalidInputError, match="no observations"):
        censored_quantile([], 0.5)


@pytest.mark.parametrize("duration", [-1.0, math.nan, math.inf])
def test_a_senseless_duration_is_refused(duration: float) -> None:
    with pytest.raises(InvalidInputError, match="finite number"):
        Observation(duration, finished=True)
