"""Shamir's secret sharing (A. Shamir, "How to share a secret", CACM 1979) of 32 bytes over the field of 2**521 - 1.

Contributor number x (from 1) gets the polynomial's value at x; the secret is its value at 0. Fewer shares than the
threshold are independent of the secret.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

PRIME: Final = 2**521 - 1
"""A Mersenne prime above every secret, so that the field needs no search and no table."""
SECRET_BYTES: Final = 32
SHARE_BYTES: Final = 66


def split(secret: bytes, threshold: int, count: int, rng: random.Random) -> tuple[bytes, ...]:
    """Shares of `secret` for the contributors 1..count, any `threshold` of which rebuild it.

    Args:
        secret: SECRET_BYTES long.
        threshold: 1..count.
        count: how many shares.
        rng: `secrets.SystemRandom()` in production.
    """
    # Every coefficient is uniform over the whole field, zero included: leaving any value out would tell something.
    coefficients = [int.from_bytes(secret, "big"), *(rng.randrange(PRIME) for _ in range(threshold - 1))]
    return tuple(_evaluate(coefficients, x).to_bytes(SHARE_BYTES, "big") for x in range(1, count + 1))


def is_share(share: bytes) -> bool:
    """Whether `share` is an element of the field in its one form."""
    return len(share) == SHARE_BYTES and int.from_bytes(share, "big") < PRIME


class Interpolation:
    """The value at 0 of the polynomial through given points; the weights are worked out once for many secrets.

    Args:
        numbers: of the contributors whose shares will be combined: different, from 1 on, as many as the threshold.
    """

    def __init__(self, numbers: Sequence[int]) -> None:
        self._weights = [_weight_at_zero(number, numbers) for number in numbers]

    def combine(self, shares: Sequence[bytes]) -> bytes | None:
        """The secret, given shares in the order of `numbers`; None if they are not shares of one secret."""
        pairs = zip(self._weights, shares, strict=True)
        value = sum(weight * int.from_bytes(share, "big") for weight, share in pairs) % PRIME
        return None if value.bit_length() > 8 * SECRET_BYTES else value.to_bytes(SECRET_BYTES, "big")


def _evaluate(coefficients: Sequence[int], x: int) -> int:
    value = 0
    for coefficient in reversed(coefficients):
        value = (value * x + coefficient) % PRIME
    return value


def _weight_at_zero(number: int, numbers: Sequence[int]) -> int:
    over, under = 1, 1
    for other in numbers:
        if other != number:
            over = over * other % PRIME
            under = under * (other - number) % PRIME
    return over * pow(under, -1, PRIME) % PRIME
