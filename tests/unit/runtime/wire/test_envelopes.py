from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weftmesh.core.aggregation.messages import (
    Invitation,
    KeyAdvertisement,
    MaskedInput,
    OwnedShare,
    RosterAnnouncement,
    SealedShares,
    ShareDelivery,
    ShareUpload,
    UnmaskIntent,
    UnmaskRequest,
    UnmaskShares,
)
from weftmesh.core.aggregation.terms import RoundTerms
from weftmesh.core.errors import InvalidInputError
from weftmesh.runtime.wire.envelopes import (
    Contribution,
    FlowerMessage,
    LearnerRefusal,
    Letter,
    Work,
    seal,
    unseal,
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
raw = st.binary(max_size=40)
numbers = st.integers(0, 2**63 - 1)


def many(items: st.SearchStrategy[object]) -> st.SearchStrategy[tuple[object, ...]]:
    return st.lists(items, max_size=3).map(tuple)


shares = many(st.builds(SealedShares, texts, raw))
owned = many(st.builds(OwnedShare, texts, raw))
keys = st.builds(KeyAdvertisement, raw, texts, raw, raw, raw, raw)
names = many(texts)
letters: st.SearchStrategy[Letter] = st.one_of(
    st.builds(FlowerMessage, raw),
    st.builds(LearnerRefusal, texts, texts),
    st.builds(Invitation, st.builds(RoundTerms, raw, texts, numbers, numbers, names, numbers, numbers, numbers)),
    keys,
    st.builds(RosterAnnouncement, raw, numbers, many(keys)),
    st.builds(ShareUpload, raw, raw, shares),
    st.builds(Work, st.builds(ShareDelivery, raw, numbers, raw, shares), raw, names),
    st.builds(Contribution, st.builds(MaskedInput, raw, raw, numbers), raw),
    st.builds(UnmaskRequest, st.builds(UnmaskIntent, texts, numbers, raw, raw, names, names, numbers)),
    st.builds(UnmaskShares, raw, owned, owned),
)


@given(letters)
def test_what_is_sealed_comes_out_as_it_was(letter: Letter) -> None:
    assert unseal(seal(letter)) == letter


@given(st.binary(max_size=60))
def test_garbage_is_refused_or_read_but_never_worse(payload: bytes) -> None:
    with suppress(InvalidInputError):
        unseal(payload)


@given(letters, st.data())
def test_one_changed_byte_is_refused_or_read_but_never_worse(letter: Letter, data: st.DataObject) -> None:
    damaged = bytearray(seal(letter))
    if damaged:
        damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= data.draw(st.integers(1, 255))
    with suppress(InvalidInputError):
        unseal(bytes(damaged))


def test_an_empty_envelope_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="it is empty"):
        unseal(b"")


def test_a_part_that_is_missing_is_named() -> None:
    with pytest.raises(InvalidInputError, match="terms: is missing"):
        unseal(b"\x52\x00")


def test_an_envelope_that_is_too_large_is_refused_unread() -> None:
    with pytest.raises(InvalidInputError, match="101 bytes exceeds 100") as caught:
        unseal(bytes(101), size_bytes_max=100)
    assert caught.value.reason == "LEARNING_MESSAGE_TOO_LARGE"


def test_a_number_that_does_not_fit_is_not_sent() -> None:
    with pytest.raises(InvalidInputError, match="cannot be sent"):
        seal(Contribution(MaskedInput(b"", b"", 2**63), b""))
