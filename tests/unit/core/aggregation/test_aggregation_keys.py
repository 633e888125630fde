"""Derivation: known answers worked out with the standard library alone, and one byte string for one set of values."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.core.aggregation.rounds import terms_for

from weftmesh.core.aggregation.keys import (
    Mask,
    RoundKeys,
    agree,
    commitment,
    load_private_key,
    pair_mask,
    public_key,
    sealing_key,
    self_mask,
)
from weftmesh.core.aggregation.outcomes import Refusal
from weftmesh.core.aggregation.sealing import SEALED_BYTES, binding, seal, unseal
from weftmesh.core.aggregation.shamir import SHARE_BYTES
from weftmesh.core.aggregation.terms import CONTRIBUTORS_MAX, threshold_for
from weftmesh.core.encoding import encode

VALUES = st.lists(st.one_of(st.integers(0, 2**63 - 1), st.text(st.characters(codec="utf-8")), st.binary()), max_size=5)
ROSTER_HASH = bytes(range(32))


def hkdf(secret: bytes, salt: bytes, info: bytes) -> bytes:
    """RFC 5869 for one block of output."""
    extracted = hmac.digest(salt, secret, "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")


def test_the_key_agreement_is_that_of_rfc_7748() -> None:
    # RFC 7748, section 6.1
    alice = bytes.fromhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")
    bob = bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
    shared = bytes.fromhex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")
    assert public_key(alice).hex() == "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"
    assert agree(load_private_key(bob), public_key(alice)) == shared
    assert agree(load_private_key(alice), public_key(bob)) == shared


def test_masks_are_known_answers_of_hkdf() -> None:
    shared = bytes([9] * 32)
    info = (
        b"s"
        + (33).to_bytes(8, "big")
        + b"weftmesh/aggregation/v1/pair-mask"
        + b"".join(b"s" + (1).to_bytes(8, "big") + name for name in (b"a", b"b"))
    )
    seed = hkdf(shared, ROSTER_HASH, info)
    assert pair_mask(shared, ROSTER_HASH, "a", "b") == Mask(1, seed)
    assert pair_mask(shared, ROSTER_HASH, "b", "a") == Mask(-1, seed)
    assert seed.hex() == "0e128fca41f42c26808e7d3ef7d8b974e92941b14074905abfa913786936cc7b"
    assert self_mask(shared, ROSTER_HASH, "a").seed == hkdf(
        shared, ROSTER_HASH, encode("weftmesh/aggregation/v1/self-mask", "a")
    )


def test_no_two_uses_of_one_secret_share_a_key() -> None:
    secret = bytes([9] * 32)
    derived = [
        self_mask(secret, ROSTER_HASH, "a").seed,
        self_mask(secret, ROSTER_HASH, "b").seed,
        self_mask(secret, bytes(32), "a").seed,
        pair_mask(secret, ROSTER_HASH, "a", "b").seed,
        pair_mask(secret, bytes(32), "a", "b").seed,
        pair_mask(secret, ROSTER_HASH, "a", "c").seed,
        sealing_key(secret, ROSTER_HASH, "a", "b"),
        sealing_key(secret, ROSTER_HASH, "b", "a"),
        sealing_key(secret, bytes(32), "a", "b"),
        commitment(terms_for(3), "a", secret),
        commitment(terms_for(3), "b", secret),
        commitment(terms_for(4), "a", secret),
    ]
    assert len(set(derived)) == len(derived)


def test_a_commitment_is_a_known_answer_of_sha_256() -> None:
    terms = terms_for(3)
    text = encode("weftmesh/aggregation/v1/self-mask-commitment", terms.encoded(), "n00", bytes(32))
    assert commitment(terms, "n00", bytes(32)) == hashlib.sha256(text).digest()


@given(VALUES, VALUES)
def test_different_values_never_have_the_same_bytes(
    some: list[int | str | bytes], others: list[int | str | bytes]
) -> None:
    same = [(type(one), one) for one in some] == [(type(one), one) for one in others]
    assert (encode(*some) == encode(*others)) == same


@pytest.mark.parametrize("other", [(b"x", b"r", "a", "b"), (b"i", b"x", "a", "b"), (b"i", b"r", "b", "a")])
def test_sealed_shares_open_under_their_own_binding_only(other: tuple[bytes, bytes, str, str]) -> None:
    key, shares = bytes(32), (bytes(SHARE_BYTES), bytes([0] * 65 + [1]))
    sealed = seal(key, binding(b"i", b"r", "a", "b"), *shares)
    assert len(sealed) == SEALED_BYTES
    assert unseal(key, binding(b"i", b"r", "a", "b"), sealed, "a") == shares
    with pytest.raises(Refusal):
        unseal(key, binding(*other), sealed, "a")


def test_what_is_sealed_has_to_be_two_shares() -> None:
    sealed = seal(bytes(32), b"", b"\xff" * SHARE_BYTES, bytes(SHARE_BYTES))
    with pytest.raises(Refusal, match="not two shares"):
        unseal(bytes(32), b"", sealed, "a")


def test_secrets_are_not_printed() -> None:
    keys = RoundKeys(b"m" * 32, b"s" * 32, b"b" * 32)
    assert "mmm" not in repr(keys)
    assert "sss" not in repr(keys)
    assert "kkk" not in repr(Mask(1, b"k" * 32))


@pytest.mark.parametrize(("count", "threshold"), [(3, 2), (4, 3), (5, 4), (10, 7), (16, 10)])
def test_the_threshold_of_some_sizes(count: int, threshold: int) -> None:
    assert threshold_for(count) == threshold


def test_two_thresholds_have_more_than_a_fifth_in_common_at_every_size() -> None:
    for count in range(1, CONTRIBUTORS_MAX + 1):
        assert threshold_for(count) <= count
        assert 5 * (2 * threshold_for(count) - count) > count
