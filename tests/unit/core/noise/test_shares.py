"""Whoever stays, and whoever of them colludes: what is left of the noise is at least what the sum was to have."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weftmesh.core.aggregation.terms import threshold_for
from weftmesh.core.errors import InvalidInputError
from weftmesh.core.noise.shares import (
    CLIP_RANGE,
    FIXED_POINT_BITS,
    SHARE_SIGMA_MIN,
    SIGMA_RANGE,
    NoiseShare,
    share_of_noise,
    sum_gap,
)

UNIT = 1 << FIXED_POINT_BITS
FLOOR = 3

sigmas = st.floats(*SIGMA_RANGE)


def variance_of(share: NoiseShare) -> Fraction:
    """Of one share, in numbers."""
    return Fraction(share.sigma * 2**share.step_bits, UNIT) ** 2


@pytest.mark.parametrize("invited", [5, 10, 16])
@pytest.mark.parametrize("colluders", [0, 1, 2])
def test_every_pattern_of_drop_outs_leaves_the_variance(invited: int, colluders: int) -> None:
    sigma, needed = 30.0, max(threshold_for(invited), FLOOR)
    share = share_of_noise(5.0, sigma, needed, colluders)
    nodes = range(invited)
    seen = 0
    for lost in range(invited - needed + 1):
        for gone in combinations(nodes, lost):
            honest = len(set(nodes) - set(gone)) - colluders
            assert honest * variance_of(share) >= Fraction(sigma) ** 2
            seen += 1
    assert seen > 1


@given(sigmas, st.integers(3, 256), st.integers(0, 2))
def test_the_fewest_stayers_have_all_of_the_noise_and_hardly_more(sigma: float, stayers: int, colluders: int) -> None:
    share = share_of_noise(1.0, sigma, stayers, colluders)
    left = (stayers - colluders) * variance_of(share)
    assert Fraction(sigma) ** 2 < left
    assert left <= Fraction(sigma) ** 2 * (1 + Fraction(1, SHARE_SIGMA_MIN)) ** 2


@given(st.floats(*CLIP_RANGE), sigmas)
def test_the_clip_is_never_rounded_up(clip: float, sigma: float) -> None:
    share = share_of_noise(clip, sigma, 10, 1)
    assert Fraction(share.clip * 2**share.step_bits, UNIT) <= Fraction(clip)


@given(sigmas)
def test_a_share_fits_the_sampler(sigma: float) -> None:
    assert SHARE_SIGMA_MIN <= share_of_noise(1.0, sigma, 3, 2).sigma <= 2**22


def test_a_sum_of_shares_is_as_good_as_a_discrete_gaussian() -> None:
    """What rounding sigma up gives back is more than what the sum is off by, even of the coarsest shares."""
    for sigma in (2.0**-10, 1 / 3, 30.0):
        share = share_of_noise(1.0, sigma, 256, 0)
        asked = Fraction(sigma) ** 2
        given_back = 1 - asked / (256 * variance_of(share))
        assert sum_gap(share.sigma, 256) < -600_000
        assert given_back > Fraction(1, 10**60)
    assert sum_gap(share.sigma, 1) == float("-inf"), "one sample is one"


def test_noise_that_only_colluders_are_sure_to_add_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="raise the floor"):
        share_of_noise(1.0, 1.0, 3, 3)


def test_noise_finer_than_the_fixed_point_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="raise clip and sigma"):
        share_of_noise(1e-6, 1e-6, 3, 0)
