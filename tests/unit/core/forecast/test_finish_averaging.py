"""The coordinator's step on a mean of sums."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.forecast.cycle_time import INTERVALS, PHASES
from weftmesh.core.forecast.finish_averaging import STEP_MAX, contribution_length, server_step, untrained

START = untrained([20.0, 2.0, 208.0, 2.0, 2.0])


def mean(
    gradient: tuple[float, float], curvature: tuple[float, float, float], rates: tuple[float, float]
) -> list[float]:
    return [*gradient * PHASES, *curvature * PHASES, *[rates[0]] * INTERVALS, *[rates[1]] * INTERVALS]


def test_standardising_by_hand() -> None:
    # Mean 10, mean square 104: variance 4. The other feature is always 1.
    assert START.means == (10.0, 1.0)
    assert START.deviations == (2.0, 1.0)
    assert START.version == 0


def test_a_newton_step_by_hand() -> None:
    model = server_step(START, mean((0.4, 0.1), (2.0, 1.0, 1.0), (3.0, 6.0)), ridge=0.0)

    # [[2, 1], [1, 1]]^-1 [0.4, 0.1] = [0.3, -0.2]
    assert model.weights == (pytest.approx((0.3, -0.2)),) * PHASES
    assert model.rates == (0.5,) * INTERVALS
    assert model.version == 1


def test_no_weight_moves_further_than_allowed() -> None:
    model = server_step(START, mean((4.0, 1.0), (2.0, 1.0, 1.0), (3.0, 6.0)), ridge=0.0)

    assert model.weights[0] == pytest.approx((STEP_MAX, -2 / 3 * STEP_MAX))


def test_an_interval_that_nobody_reached_keeps_its_rate() -> None:
    assert server_step(START, mean((0.0, 0.0), (1.0, 0.0, 1.0), (0.0, 0.0))).rates == START.rates


@given(st.lists(st.floats(allow_nan=True), max_size=80))
def test_whatever_comes_in_a_model_or_a_refusal_comes_out(numbers: list[float]) -> None:
    padded = (numbers * 80)[: contribution_length(2)]

    try:
        model = server_step(START, padded)
    except InvalidInputError:
        return
    assert all(map(math.isfinite, [*model.rates, *(one for row in model.weights for one in row)]))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_numbers_that_are_not_finite_are_refused(bad: float) -> None:
    numbers = mean((0.0, 0.0), (1.0, 0.0, 1.0), (1.0, 1.0))
    numbers[3] = bad

    with pytest.raises(InvalidInputError, match="not finite"):
        server_step(START, numbers)
    with pytest.raises(InvalidInputError, match="finite pair"):
        untrained([bad, 1.0, 1.0])


def test_a_mean_of_other_features_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="does not fit"):
        server_step(START, [0.0] * (contribution_length(3)))


def test_a_curvature_that_no_data_makes_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="not positive"):
        server_step(START, mean((0.1, 0.1), (-1.0, 0.0, 1.0), (1.0, 1.0)))


@pytest.mark.parametrize("sums", [[], [1.0], [1.0, 2.0], [1.0, 2.0, 0.0], [1.0, 2.0, -1.0]])
def test_the_untrained_model_needs_pairs_and_a_weight(sums: list[float]) -> None:
    with pytest.raises(InvalidInputError, match="pair for each feature"):
        untrained(sums)
