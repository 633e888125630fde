"""Samples of the discrete Gaussian have its exact probabilities."""

from __future__ import annotations

import math
import random
from fractions import Fraction
from statistics import fmean

import pytest
from tests.unit.core.noise.distribution import chi_square, critical, probabilities

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.noise.discrete_gaussian import bernoulli_exp, discrete_gaussian, discrete_laplace

SAMPLES = 4_000


@pytest.mark.parametrize("variance", [Fraction(1, 4), Fraction(1), Fraction(29, 4), Fraction(400)])
def test_samples_have_the_exact_probabilities(variance: Fraction) -> None:
    rng = random.Random(20)
    samples = [discrete_gaussian(variance, rng) for _ in range(SAMPLES)]
    statistic, degrees = chi_square(samples, probabilities(float(variance)))
    assert statistic < critical(degrees)


def test_the_statistic_tells_another_variance_apart() -> None:
    rng = random.Random(21)
    samples = [discrete_gaussian(9, rng) for _ in range(SAMPLES)]
    statistic, degrees = chi_square(samples, probabilities(9 * 1.5))
    assert statistic > critical(degrees)


def test_the_variance_is_the_one_asked_for() -> None:
    rng = random.Random(22)
    samples = [discrete_gaussian(400, rng) for _ in range(SAMPLES)]
    assert fmean(samples) == pytest.approx(0, abs=4 * 20 / math.sqrt(SAMPLES))
    assert fmean(x * x for x in samples) == pytest.approx(400, rel=4 * math.sqrt(2 / SAMPLES))


@pytest.mark.parametrize("gamma", [Fraction(0), Fraction(1, 3), Fraction(1), Fraction(5, 2)])
def test_a_coin_has_its_chance(gamma: Fraction) -> None:
    rng = random.Random(23)
    heads = sum(bernoulli_exp(gamma, rng) for _ in range(SAMPLES))
    chance = math.exp(-gamma)
    assert heads / SAMPLES == pytest.approx(chance, abs=5 * math.sqrt(chance * (1 - chance) / SAMPLES))


def test_a_laplace_sample_has_the_exact_probabilities() -> None:
    rng, scale = random.Random(24), 5
    samples = [discrete_laplace(scale, rng) for _ in range(SAMPLES)]
    weights = {x: math.exp(-abs(x) / scale) for x in range(-200, 201)}
    statistic, degrees = chi_square(samples, {x: one / sum(weights.values()) for x, one in weights.items()})
    assert statistic < critical(degrees)


@pytest.mark.parametrize("variance", [0, -1])
def test_noise_that_is_none_is_refused(variance: int) -> None:
    with pytest.raises(InvalidInputError, match="above 0"):
        discrete_gaussian(variance, random.Random(1))
