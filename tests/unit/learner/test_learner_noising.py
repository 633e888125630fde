"""Vectors with noise: exact samples in bulk, a length that is never exceeded, a sum with the noise it was to have."""

from __future__ import annotations

import math
import random
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from tests.unit.core.noise.distribution import chi_square, critical, probabilities

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.noise.shares import NoiseShare, share_of_noise
from weftmesh.learner.discrete_gaussian import SIGMA_MAX, discrete_gaussians
from weftmesh.learner.noising import clipped, noised
from weftmesh.runtime.masking import CLIP, SCALE, decode_words, encode_reals

SAMPLES = 20_000


@pytest.mark.parametrize("sigma", [1, 3, 20])
def test_bulk_samples_have_the_exact_probabilities(sigma: int) -> None:
    samples = discrete_gaussians(sigma, SAMPLES, random.Random(30).randbytes)
    statistic, degrees = chi_square(samples.tolist(), probabilities(sigma**2))
    assert statistic < critical(degrees)


def test_bulk_samples_of_the_largest_sigma_have_the_normal_s_quantiles() -> None:
    samples = discrete_gaussians(SIGMA_MAX, SAMPLES, random.Random(31).randbytes) / SIGMA_MAX
    for bound in (-2.0, -1.0, 0.0, 0.5, 1.5, 3.0):
        chance = (1 + math.erf(bound / math.sqrt(2))) / 2
        error = 5 * math.sqrt(chance * (1 - chance) / SAMPLES)
        assert float(np.mean(samples <= bound)) == pytest.approx(chance, abs=error)


@pytest.mark.parametrize("sigma", [0, SIGMA_MAX + 1])
def test_a_sigma_that_cannot_be_drawn_exactly_is_refused(sigma: int) -> None:
    with pytest.raises(InvalidInputError, match="drawn exactly"):
        discrete_gaussians(sigma, 1, random.Random(1).randbytes)


words = arrays.arrays(np.float64, st.integers(1, 40), elements=st.floats(-CLIP, CLIP)).map(encode_reals)


@settings(deadline=None)
@given(words, st.integers(0, 30), st.integers(0, 2**52))
def test_no_vector_is_longer_than_the_clip(vector: np.ndarray, step_bits: int, clip: int) -> None:
    steps = clipped(vector.view(np.int64), NoiseShare(step_bits, clip, 256))
    assert sum(step * step for step in steps.tolist()) <= clip**2


@settings(deadline=None)
@given(words, st.integers(0, 8))
def test_a_vector_that_is_short_enough_is_only_put_on_the_grid(vector: np.ndarray, step_bits: int) -> None:
    numbers = vector.view(np.int64)
    steps = clipped(numbers, NoiseShare(step_bits, 2**62, 256))
    left = numbers - (steps << step_bits)
    assert np.all(np.abs(left) < 2**step_bits)


def test_a_vector_that_is_too_long_keeps_its_direction() -> None:
    vector = np.random.default_rng(1).normal(size=500)
    share = share_of_noise(1.0, 0.5, 3, 0)
    kept = clipped(encode_reals(vector).view(np.int64), share) * 2.0**share.step_bits / SCALE
    np.testing.assert_allclose(kept, vector / np.linalg.norm(vector), atol=1e-6)


@pytest.mark.parametrize("invited", [5, 10])
def test_what_colluders_leave_of_any_sum_has_the_variance(invited: int) -> None:
    """Each stayer's real vector; the colluders take their own noise out."""
    stayers, colluders, sigma, size = 3 * invited // 5 + 1, 1, 4.0, 4_000
    share, rng = share_of_noise(1.0, sigma, stayers, colluders), random.Random(33)
    nothing = encode_reals(np.zeros(size))
    noise = [noised(nothing, share, rng.randbytes) for _ in range(invited)]
    for active in list(combinations(range(invited), stayers))[:20]:
        honest = active[colluders:]
        left = decode_words(np.sum([noise[one] for one in honest], axis=0, dtype=np.uint64))
        assert float(np.mean(left * left)) == pytest.approx(sigma**2, rel=5 * math.sqrt(2 / size))
