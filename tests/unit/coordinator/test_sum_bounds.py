"""A sum that honest nodes make passes, whatever they learned; one that holds a lie or noise does not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weftmesh.coordinator.sum_bounds import SumBounds, SumRefusedError
from weftmesh.core.errors import InvalidInputError
from weftmesh.core.learning.model import RoundKind
from weftmesh.runtime.masking import ContributionLayout, Reals, Words, decode_words
from weftmesh.runtime.sum_limits import WEIGHT_MAX

SIZE = 40
CLIP_LENGTH = 2.0
LAYOUT = ContributionLayout(SIZE, ("loss",))
BOUNDS = SumBounds(WEIGHT_MAX[RoundKind.TRAINING], CLIP_LENGTH)


def update(seed: int, length: float) -> Reals:
    drawn = np.random.default_rng(seed).normal(size=SIZE)
    return drawn * (length / float(np.linalg.norm(drawn)))


def contribution(seed: int, length: float, weight: float) -> Words:
    return LAYOUT.pack(update(seed, length), weight, {"loss": 1.0})


def check(words: list[Words]) -> None:
    total = sum(words, np.zeros(LAYOUT.length, np.uint64))
    BOUNDS.check(LAYOUT.unpack(decode_words(total)), len(words))


honest = st.tuples(st.integers(0, 10_000), st.floats(0, CLIP_LENGTH), st.floats(1.0, WEIGHT_MAX[RoundKind.TRAINING]))


@given(st.lists(honest, min_size=3, max_size=16))
def test_what_honest_nodes_add_up_passes(nodes: list[tuple[int, float, float]]) -> None:
    check([contribution(*node) for node in nodes])


@given(st.lists(honest, min_size=2, max_size=15), st.floats(1e5, 1e8))
def test_a_node_that_claims_to_be_a_multitude_is_noticed(nodes: list[tuple[int, float, float]], claimed: float) -> None:
    with pytest.raises(SumRefusedError, match="its weights add up to"):
        check([contribution(*node) for node in nodes] + [contribution(1, CLIP_LENGTH, claimed)])


@given(st.lists(honest, min_size=2, max_size=5), st.floats(1e5, 1e6))
def test_an_update_that_is_too_long_for_the_mean_is_noticed(
    nodes: list[tuple[int, float, float]], length: float
) -> None:
    with pytest.raises(SumRefusedError, match="its mean update is"):
        check([contribution(*node) for node in nodes] + [contribution(1, length, 1.0)])


@pytest.mark.parametrize("seed", range(20))
def test_noise_in_place_of_a_vector_is_noticed(seed: int) -> None:
    """As of a node whose masks do not cancel out: a sum of such words has every weight and every length."""
    noise = np.frombuffer(np.random.default_rng(seed).bytes(8 * LAYOUT.length), np.uint64)
    with pytest.raises(InvalidInputError, match=r"the sum is refused|the weights of the round add up to"):
        check([contribution(1, 1.0, 10.0), contribution(2, 1.0, 10.0), noise])


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_is_noticed(number: float) -> None:
    total = decode_words(contribution(1, 1.0, 10.0) + contribution(2, 1.0, 10.0))
    for place in (0, SIZE):
        spoilt = total.copy()
        spoilt[place] = number
        with pytest.raises(InvalidInputError, match=r"the sum is refused|the weights of the round add up to"):
            BOUNDS.check(LAYOUT.unpack(spoilt), 2)


def test_a_lie_within_the_bounds_is_not_noticed_and_moves_the_mean_by_no_more_than_the_clip() -> None:
    """docs/security.md says so: masks hide a liar as they hide everybody."""
    few = [contribution(seed, 0.1, 6.0) for seed in range(15)]
    lie = contribution(99, CLIP_LENGTH, 16 * WEIGHT_MAX[RoundKind.TRAINING] - 15 * 6.0)
    check([*few, lie])
    mean = LAYOUT.unpack(decode_words(sum([*few, lie], np.zeros(LAYOUT.length, np.uint64))))
    share = float(mean.update @ update(99, 1.0)) / CLIP_LENGTH
    assert 0.99 < share < 1.0
    assert float(np.linalg.norm(mean.update)) <= CLIP_LENGTH
