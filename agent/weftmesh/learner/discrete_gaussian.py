"""Many exact samples of the discrete Gaussian at once, in 64-bit integers; no float takes part.

The algorithms are those of weftmesh.core.noise.discrete_gaussian (Canonne, Kamath and Steinke 2020), for a whole
standard deviation: with the Laplace scale equal to it, the last coin's chance is exp(-((|y| - sigma)^2 / (2 sigma^2))),
whose numerator and denominator fit 64 bits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from weftmesh.core.errors import InvalidInputError

Integers = NDArray[np.int64]
RandomBytes = Callable[[int], bytes]
"""So many random bytes: `secrets.SystemRandom().randbytes`, or a keyed stream."""

SIGMA_MAX: Final = 1 << 22
_WHOLES_MAX: Final = 1 << 8
"""A Laplace draw of more scales than this is taken for one that the last coin rejects, which it does but for a chance
of exp(-32000): squares then stay below 2^62."""
_WORD_BYTES: Final = 8


def discrete_gaussians(sigma: int, count: int, random_bytes: RandomBytes) -> Integers:
    """`count` integers, each x with probability proportional to exp(-x^2 / (2 sigma^2)).

    Args:
        sigma: whole, 1 to SIGMA_MAX.
        count: at least 0.
        random_bytes: each byte uniform and independent.

    Raises:
        InvalidInputError: a sigma out of its bounds.
    """
    if not 1 <= sigma <= SIGMA_MAX:
        raise InvalidInputError(f"noise of sigma {sigma}: a whole number of 1 to {SIGMA_MAX} is drawn exactly")
    samples: Integers = np.empty(count, dtype=np.int64)
    drawn = 0
    while drawn < count:
        # About 0.76 of the candidates pass the last coin; a few too many cost less than another turn.
        candidates = _discrete_laplaces(sigma, (count - drawn) * 4 // 3 + 16, random_bytes)
        distance = np.square(np.abs(candidates) - sigma)
        passed = candidates[_coins_exp(distance, 2 * sigma * sigma, random_bytes)][: count - drawn]
        samples[drawn : drawn + passed.size] = passed
        drawn += passed.size
    return samples


def _discrete_laplaces(scale: int, count: int, random_bytes: RandomBytes) -> Integers:
    """About `count` integers, each x with probability proportional to exp(-|x| / scale)."""
    rest = _below(scale, count * 8 // 5, random_bytes)
    rest = rest[_coins_exp(rest, scale, random_bytes)]
    wholes = np.zeros_like(rest)
    going_on = np.arange(rest.size)
    while going_on.size:
        going_on = going_on[_coins_exp(np.ones_like(going_on), 1, random_bytes)]
        wholes[going_on] += 1
    size = rest + scale * wholes
    is_negative = _below(2, size.size, random_bytes).astype(bool)
    kept = ((size > 0) | ~is_negative) & (wholes < _WHOLES_MAX)
    signed: Integers = np.where(is_negative, -size, size)[kept]
    return signed


def _coins_exp(numerators: Integers, denominator: int, random_bytes: RandomBytes) -> NDArray[np.bool_]:
    """For each numerator, true with probability exp(-numerator / denominator)."""
    wholes, rest = np.divmod(numerators, denominator)
    heads: NDArray[np.bool_] = _first_failures(rest, denominator, random_bytes) % 2 == 1
    going_on = np.flatnonzero(heads & (wholes > 0))
    while going_on.size:
        ones = np.ones_like(going_on)
        passed = _first_failures(ones, 1, random_bytes) % 2 == 1
        heads[going_on[~passed]] = False
        wholes[going_on] -= 1
        going_on = going_on[passed & (wholes[going_on] > 0)]
    return heads


def _first_failures(numerators: Integers, denominator: int, random_bytes: RandomBytes) -> Integers:
    """For each chance p = numerator / denominator of at most 1, the first k at which a coin of p / k fails.

    A coin of p / k is two coins, of p and of 1 / k, so that no product has to fit 64 bits.
    """
    first = np.ones_like(numerators)
    going_on = np.arange(numerators.size)
    k = 1
    while going_on.size:
        passed = _below(denominator, going_on.size, random_bytes) < numerators[going_on]
        if k > 1:
            passed &= _below(k, going_on.size, random_bytes) == 0
        going_on = going_on[passed]
        first[going_on] += 1
        k += 1
    return first


def _below(bound: int, count: int, random_bytes: RandomBytes) -> Integers:
    """`count` integers, uniform in 0 to bound - 1; a draw in the last, partial run of a word's values is made again."""
    if bound == 1:
        return np.zeros(count, dtype=np.int64)
    past_last = 2**64 - 2**64 % bound
    words = _words(count, random_bytes)
    if past_last < 2**64:
        while (beyond := np.flatnonzero(words >= np.uint64(past_last))).size:
            words[beyond] = _words(beyond.size, random_bytes)
    return (words % np.uint64(bound)).astype(np.int64)


def _words(count: int, random_bytes: RandomBytes) -> NDArray[np.uint64]:
    return np.frombuffer(random_bytes(count * _WORD_BYTES), dtype="<u8").astype(np.uint64)
