"""Exact samples of the discrete Gaussian distribution: whole numbers and fractions only, never a float.

C. Canonne, G. Kamath and T. Steinke, "The Discrete Gaussian for Differential Privacy" (NeurIPS 2020), algorithms 1 to
3. The probability of an integer x is proportional to exp(-x^2 / (2 * variance)). Floating point would round that, and
Mironov ("On significance of the least significant bits for differential privacy", CCS 2012) shows what such rounding
gives away.

Known limits: how long a sample takes depends on its value, so that somebody who can time it closely learns something of
it. And a sum of several samples is only nearly a discrete Gaussian; `weftmesh.core.noise.shares` bounds by how much.
"""

from __future__ import annotations

import math
import random
from fractions import Fraction

from weftmesh.core.errors import InvalidInputError


def bernoulli(probability: Fraction, rng: random.Random) -> bool:
    """True with exactly this probability, which is 0 to 1."""
    return rng.randrange(probability.denominator) < probability.numerator


def bernoulli_exp(gamma: Fraction, rng: random.Random) -> bool:
    """True with probability exp(-gamma), for gamma of at least 0: algorithm 1."""
    while gamma > 1:
        if not _bernoulli_exp_to_one(Fraction(1), rng):
            return False
        gamma -= 1
    return _bernoulli_exp_to_one(gamma, rng)


def _bernoulli_exp_to_one(gamma: Fraction, rng: random.Random) -> bool:
    """For gamma of at most 1: the first k at which a coin of gamma / k fails is odd with probability exp(-gamma)."""
    k = 1
    while bernoulli(gamma / k, rng):
        k += 1
    return k % 2 == 1


def discrete_laplace(scale: int, rng: random.Random) -> int:
    """An integer x with probability proportional to exp(-|x| / scale): algorithm 2, for a whole scale."""
    while True:
        rest = rng.randrange(scale)
        if not bernoulli_exp(Fraction(rest, scale), rng):
            continue
        wholes = 0
        while bernoulli_exp(Fraction(1), rng):
            wholes += 1
        size, is_negative = rest + scale * wholes, bernoulli(Fraction(1, 2), rng)
        if size or not is_negative:
            return -size if is_negative else size


def discrete_gaussian(variance: Fraction | int, rng: random.Random) -> int:
    """An integer x with probability proportional to exp(-x^2 / (2 * variance)): algorithm 3.

    The variance of x is a little below `variance` for small ones, and equal to it in 15 digits from 4 on.

    Args:
        variance: above 0, exactly.
        rng: `secrets.SystemRandom()` in production.

    Raises:
        InvalidInputError: the variance is not above 0.
    """
    if not variance > 0:
        raise InvalidInputError(f"noise of variance {variance}: it has to be above 0; without noise, draw none")
    variance = Fraction(variance)
    scale = math.isqrt(math.floor(variance)) + 1
    while True:
        candidate = discrete_laplace(scale, rng)
        if bernoulli_exp((abs(candidate) - variance / scale) ** 2 / (2 * variance), rng):
            return candidate
