"""Costs and what they mean, beside OpenDP's."""

from __future__ import annotations

import math
from fractions import Fraction

import opendp.prelude as dp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.noise.zcdp import epsilon_of, gaussian_rho, rho_for

dp.enable_features("contrib")

rhos = st.floats(1e-6, 100)
deltas = st.floats(1e-12, 0.1)


def oracle(sensitivity: int, sigma: float) -> tuple[float, dp.Measurement]:
    """The cost by OpenDP's discrete Gaussian, and the same measurement in (epsilon, delta)."""
    measurement = dp.m.make_gaussian(dp.atom_domain(T=int), dp.absolute_distance(T=int), scale=sigma)
    return measurement.map(sensitivity), dp.c.make_zCDP_to_approxDP(measurement)


@pytest.mark.parametrize("sensitivity", [1, 3, 70])
@pytest.mark.parametrize("sigma", [0.5, 5.0, 200.0])
def test_a_release_costs_what_opendp_says(sensitivity: int, sigma: float) -> None:
    cost, approximate = oracle(sensitivity, sigma)
    assert float(gaussian_rho(Fraction(sensitivity), Fraction(sigma))) == pytest.approx(cost, rel=1e-12)
    for delta in (1e-3, 1e-6, 1e-9):
        expected = approximate.map(sensitivity).epsilon(delta)
        assert epsilon_of(cost, delta) == pytest.approx(expected, rel=1e-9)


@given(rhos, deltas)
def test_epsilon_is_below_the_simple_bound(rho: float, delta: float) -> None:
    assert 0 <= epsilon_of(rho, delta) <= rho + 2 * math.sqrt(rho * math.log(1 / delta)) * (1 + 1e-9)


@given(rhos, rhos, deltas)
def test_two_releases_cost_no_less_than_either_and_no_more_than_both_apart(
    rho: float, other: float, delta: float
) -> None:
    both = epsilon_of(rho + other, delta)
    assert both >= max(epsilon_of(rho, delta), epsilon_of(other, delta))
    assert both <= epsilon_of(rho, delta / 2) + epsilon_of(other, delta / 2) + 1e-9


@given(st.floats(0.01, 1_000), deltas)
def test_a_budget_in_epsilon_is_used_up_and_not_exceeded(epsilon: float, delta: float) -> None:
    rho = rho_for(epsilon, delta)
    assert epsilon_of(rho, delta) <= epsilon <= epsilon_of(rho * (1 + 1e-6), delta)


def test_nothing_spent_is_nothing_told() -> None:
    assert epsilon_of(0.0, 1e-9) == 0


@pytest.mark.parametrize(("rho", "delta"), [(-1.0, 0.1), (math.nan, 0.1), (1.0, 0.0), (1.0, 1.0)])
def test_numbers_that_mean_nothing_are_refused(rho: float, delta: float) -> None:
    with pytest.raises(InvalidInputError, match="rho"):
        epsilon_of(rho, delta)


@pytest.mark.parametrize("epsilon", [0.0, -1.0, math.nan, math.inf])
def test_a_budget_that_is_none_is_refused(epsilon: float) -> None:
    with pytest.raises(InvalidInputError, match="epsilon"):
        rho_for(epsilon, 1e-6)
