"""Shares: known answers, any threshold of them rebuilds the secret, and fewer say nothing about it."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from weftmesh.core.aggregation.shamir import PRIME, SECRET_BYTES, SHARE_BYTES, Interpolation, is_share, split

SECRETS = st.binary(min_size=SECRET_BYTES, max_size=SECRET_BYTES)


class Scripted(random.Random):
    """Gives the coefficients that a test asks for."""

    def __init__(self, coefficients: Iterable[int]) -> None:
        super().__init__()
        self._coefficients = iter(coefficients)

    def randrange(self, start: int, stop: int | None = None, step: int = 1) -> int:
        assert (start, stop, step) == (PRIME, None, 1), "coefficients come from the whole field"
        return next(self._coefficients)


def test_a_known_polynomial_has_its_known_values() -> None:
    # 5 + 2x + 3x^2 at 1, 2, 3, 4, by hand
    shares = split((5).to_bytes(32, "big"), 3, 4, Scripted([2, 3]))
    assert [int.from_bytes(share, "big") for share in shares] == [10, 21, 38, 61]
    # Lagrange at 0 over 1, 2, 4: weights 8/3, -2, 1/3: (8 * 10 - 6 * 21 + 61) / 3 = 5
    assert Interpolation([1, 2, 4]).combine([shares[0], shares[1], shares[3]]) == (5).to_bytes(32, "big")


def test_values_wrap_around_in_the_field() -> None:
    shares = split((1).to_bytes(32, "big"), 2, 2, Scripted([PRIME - 1]))
    assert [int.from_bytes(share, "big") for share in shares] == [0, PRIME - 1]


@given(SECRETS, st.integers(1, 12), st.data())
def test_any_threshold_of_the_shares_rebuilds_the_secret(secret: bytes, threshold: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(threshold, 12))
    shares = split(secret, threshold, count, random.Random(data.draw(st.integers())))
    numbers = data.draw(st.permutations(range(1, count + 1)))[:threshold]
    assert Interpolation(numbers).combine([shares[number - 1] for number in numbers]) == secret
    assert all(is_share(share) and len(share) == SHARE_BYTES for share in shares)


@given(SECRETS, SECRETS, st.integers())
def test_fewer_shares_than_the_threshold_fit_every_secret(secret: bytes, other: bytes, seed: int) -> None:
    """For two shares of three, any other secret has exactly one polynomial that gives the very same shares."""
    rng = random.Random(seed)
    a, b = rng.randrange(PRIME), rng.randrange(PRIME)
    seen = split(secret, 3, 2, Scripted([a, b]))
    # The polynomials differ by d * (x - 1)(x - 2) / 2, where d is the difference of the secrets.
    d = (int.from_bytes(other, "big") - int.from_bytes(secret, "big")) * pow(2, -1, PRIME)
    assert split(other, 3, 2, Scripted([(a - 3 * d) % PRIME, (b + d) % PRIME])) == seen


@given(SECRETS, st.integers())
def test_two_of_three_needed_shares_do_not_rebuild_the_secret(secret: bytes, seed: int) -> None:
    shares = split(secret, 3, 5, random.Random(seed))
    for first, second in itertools.combinations(range(1, 6), 2):
        assert Interpolation([first, second]).combine([shares[first - 1], shares[second - 1]]) != secret


def test_what_is_no_element_of_the_field_is_no_share() -> None:
    assert not is_share(bytes(SHARE_BYTES - 1))
    assert not is_share(PRIME.to_bytes(SHARE_BYTES, "big"))
    assert is_share((PRIME - 1).to_bytes(SHARE_BYTES, "big"))
