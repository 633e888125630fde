"""Fixed point, masks and layout: exact where it says exact, bounded where it rounds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.core.aggregation.rounds import Mesh, terms_for

from weftmesh.core.aggregation.keys import Mask
from weftmesh.core.aggregation.messages import MaskedInput
from weftmesh.core.errors import InvalidInputError
from weftmesh.runtime.masking import (
    CLIP,
    SCALE,
    ContributionLayout,
    MaskedSum,
    apply_masks,
    decode_words,
    encode_reals,
    expand_mask,
    words_to_bytes,
)

REALS = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=8)


@given(st.lists(st.lists(st.floats(-1e6, 1e6), min_size=4, max_size=4), min_size=1, max_size=16))
def test_a_sum_is_off_by_at_most_half_a_step_for_each_contributor(rows: list[list[float]]) -> None:
    total = sum((encode_reals(np.array(row)) for row in rows), np.zeros(4, np.uint64))
    exact = np.array(rows).sum(axis=0)
    assert np.abs(decode_words(total) - exact).max() <= len(rows) * 0.5 / SCALE + 1e-9


@given(REALS, st.lists(st.tuples(st.sampled_from([1, -1]), st.binary(min_size=32, max_size=32)), min_size=1))
def test_masks_that_are_taken_off_again_leave_the_very_same_words(
    values: list[float], drawn: list[tuple[int, bytes]]
) -> None:
    masks = [Mask(sign, seed) for sign, seed in drawn]
    words = encode_reals(np.array(values))
    undone = [Mask(-mask.sign, mask.seed) for mask in masks]
    assert np.array_equal(apply_masks(apply_masks(words, masks), undone), words)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_finite_is_refused(wrong: float) -> None:
    with pytest.raises(InvalidInputError, match="number 1"):
        encode_reals(np.array([0.0, wrong]))


def test_large_numbers_are_clipped_and_a_full_sum_of_them_does_not_wrap() -> None:
    words = encode_reals(np.array([1e300, -1e300]))
    assert decode_words(words).tolist() == [CLIP, -CLIP]
    assert decode_words(words * np.uint64(256)).tolist() == [256 * CLIP, -256 * CLIP]


def test_a_vector_is_one_row() -> None:
    for wrong in (np.zeros((2, 2)), np.zeros(0)):
        with pytest.raises(InvalidInputError, match="one row"):
            encode_reals(wrong)


def test_a_mask_is_the_chacha20_stream_of_its_seed() -> None:
    # RFC 8439, appendix A.1, test vectors 1 and 2: key, nonce and counter of zeros; the second block follows.
    stream = bytes.fromhex(
        "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
        "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586"
        "9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed"
        "29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f"
    )
    assert words_to_bytes(expand_mask(bytes(32), 16)) == stream
    assert int(expand_mask(bytes(32), 1)[0]) == 0x903DF1A0ADE0B876


def test_a_vector_without_masks_is_never_made() -> None:
    with pytest.raises(InvalidInputError, match="without masks"):
        apply_masks(encode_reals(np.array([1.0])), ())


def test_a_sum_takes_vectors_of_its_own_length_only() -> None:
    total = MaskedSum(2)
    with pytest.raises(InvalidInputError, match="16"):
        total.add(b"\0" * 15)
    for _ in range(256):
        total.add(bytes(16))
    with pytest.raises(InvalidInputError, match="256"):
        total.add(bytes(16))


def test_a_contribution_comes_back_as_a_weighted_mean() -> None:
    layout = ContributionLayout(2, ("loss", "examples"))
    total = sum(
        (
            layout.pack(np.array([1.0, -2.0]), 3.0, {"loss": 0.5, "examples": 9.0}),
            layout.pack(np.array([5.0, 2.0]), 1.0, {"loss": 0.1, "examples": 1.0}),
        ),
        np.zeros(layout.length, np.uint64),
    )
    mean = layout.unpack(decode_words(total))
    assert mean.update == pytest.approx([2.0, -1.0], abs=1e-7)
    assert dict(mean.metrics) == pytest.approx({"loss": 0.4, "examples": 7.0}, abs=1e-7)
    assert mean.weight == 4.0


@pytest.mark.parametrize(
    ("update", "weight", "metrics"),
    [
        ([1.0], 1.0, {"loss": 1.0}),
        ([1.0, 2.0], 0.0, {"loss": 1.0}),
        ([1.0, 2.0], float("nan"), {"loss": 1.0}),
        ([1.0, 2.0], 1.0, {}),
        ([1.0, 2.0], 1.0, {"loss": float("inf")}),
    ],
)
def test_a_contribution_that_does_not_fit_is_refused(
    update: list[float], weight: float, metrics: dict[str, float]
) -> None:
    with pytest.raises(InvalidInputError):
        ContributionLayout(2, ("loss",)).pack(np.array(update), weight, metrics)


def test_a_sum_without_weight_is_refused() -> None:
    layout = ContributionLayout(1)
    for total in (np.zeros(2), np.array([1.0, -4.0]), np.zeros(3)):
        with pytest.raises(InvalidInputError):
            layout.unpack(total)


def test_a_round_of_real_vectors_has_the_plain_mean() -> None:
    layout = ContributionLayout(50, ("loss",))
    rng = np.random.default_rng(5)
    updates = {f"n{number:02}": rng.normal(size=50) for number in range(5)}
    mesh = Mesh(5)
    mesh.to_coordinator = lambda name, message: None if (name, type(message)) == ("n02", MaskedInput) else message
    mesh.run(replace(terms_for(5), vector_length=layout.length))
    assert mesh.summed == ("n00", "n01", "n03", "n04")
    total = MaskedSum(layout.length)
    for name in mesh.summed:
        total.add(words_to_bytes(apply_masks(layout.pack(updates[name], 2.0, {"loss": 0.25}), mesh.masks[name])))
    mean = layout.unpack(total.unmasked(mesh.taken_off))
    assert mean.update == pytest.approx(np.mean([updates[name] for name in mesh.summed], axis=0), abs=1e-7)
    assert (mean.weight, dict(mean.metrics)) == (8.0, {"loss": 0.25})
