"""A page token works for its own listing only."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weftmesh.core.errors import InvalidInputError
from weftmesh.runtime.wire.page_tokens import TOKEN_CHARACTERS_MAX, PageToken, decode_page_token, encode_page_token

TOKEN = PageToken("ListTasks", "projects/PROJ", "status=open", 12, "01ARZ3NDEKTSV4RRFFQ69G5FAV")


@given(st.integers(0, 2**63), st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_a_token_comes_back_as_it_was(revision: int, cursor: str) -> None:
    token = PageToken("ListTasks", "projects/PROJ", "", revision, cursor)
    assert decode_page_token(encode_page_token(token), "ListTasks", "projects/PROJ", "") == token


def test_no_token_is_the_first_page() -> None:
    assert decode_page_token("", "ListTasks", "projects/PROJ", "") is None


@pytest.mark.parametrize(
    ("method", "parent", "filter_"),
    [
        ("ListConflicts", TOKEN.parent, TOKEN.filter),
        (TOKEN.method, "projects/OTHER", TOKEN.filter),
        (TOKEN.method, TOKEN.parent, "status=done"),
        (TOKEN.method, TOKEN.parent + TOKEN.filter, ""),
    ],
)
def test_a_token_of_another_listing_is_refused(method: str, parent: str, filter_: str) -> None:
    with pytest.raises(InvalidInputError, match="belongs to another listing"):
        decode_page_token(encode_page_token(TOKEN), method, parent, filter_)


@given(st.text(max_size=80) | st.binary(max_size=60).map(lambda data: data.hex()))
def test_hostile_tokens_are_refused_and_nothing_worse(text: str) -> None:
    with suppress(InvalidInputError):
        decode_page_token(text, "ListTasks", "", "")


@given(st.data())
def test_a_changed_token_is_refused(data: st.DataObject) -> None:
    text = encode_page_token(TOKEN)
    at = data.draw(st.integers(0, len(text) - 2))
    other = data.draw(st.sampled_from("ABCxyz012-_").filter(lambda character: character != text[at]))
    with pytest.raises(InvalidInputError, match="first page"):
        decode_page_token(text[:at] + other + text[at + 1 :], TOKEN.method, TOKEN.parent, TOKEN.filter)


def test_a_token_is_bounded_both_ways() -> None:
    with pytest.raises(InvalidInputError, match="too long"):
        encode_page_token(PageToken("ListTasks", "", "", 1, "x" * TOKEN_CHARACTERS_MAX))
    with pytest.raises(InvalidInputError, match="at most"):
        decode_page_token("x" * (TOKEN_CHARACTERS_MAX + 1), "ListTasks", "", "")
