"""Tokens and marks: what names an import later."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.exchange.tokens import ImportToken, Mark, read_mark

TOKENS = st.builds(ImportToken, st.integers(0, (1 << 48) - 1), st.integers(0, (1 << 40) - 1))


@given(token=TOKENS)
def test_a_token_is_read_as_it_was_printed_and_as_people_type_it(token: ImportToken) -> None:
    assert ImportToken.parse(str(token)) == token
    assert ImportToken.parse(str(token).lower().replace("-", " ").replace("0", "o").replace("1", "l")) == token


@given(token=TOKENS, place=st.integers(0, 22), character=st.sampled_from("0123456789ABCDEFGHJKMNPQRSTVWXYZ"))
def test_one_wrong_character_names_no_other_import(token: ImportToken, place: int, character: str) -> None:
    text = str(token)
    if text[place] == "-" or text[place] == character:
        return
    try:
        mistyped = ImportToken.parse(text[:place] + character + text[place + 1 :])
    except InvalidInputError:
        return
    assert mistyped != token


@given(text=st.text(max_size=30))
def test_any_other_text_is_refused_in_words(text: str) -> None:
    with pytest.raises(InvalidInputError, match="undo token"):
        ImportToken.parse(text)


@given(token=TOKENS, mark=st.sampled_from(Mark), content=st.binary(max_size=50))
def test_a_marked_request_id_is_a_uuid_that_names_its_import(token: ImportToken, mark: Mark, content: bytes) -> None:
    request_id = token.request_id(mark, content)

    assert uuid.UUID(request_id).version == 8
    assert read_mark(request_id) == (token.import_id, mark)
    assert token.marks(request_id, mark)
    assert request_id == token.request_id(mark, content)


@given(token=TOKENS, content=st.binary(max_size=50))
def test_a_lost_token_is_found_in_the_history(token: ImportToken, content: bytes) -> None:
    assert ImportToken.parse(token.request_id(Mark.IMPORT, content)).import_id == token.import_id
    with pytest.raises(InvalidInputError):
        ImportToken.parse(token.request_id(Mark.UNDO, content))


@given(value=st.uuids(version=4))
def test_the_ids_of_other_writes_bear_no_mark(value: uuid.UUID) -> None:
    assert read_mark(str(value)) is None


@pytest.mark.parametrize("request_id", ["", "no uuid", str(uuid.UUID(int=8 << 76 | 2 << 62))])
def test_what_is_no_mark_is_none(request_id: str) -> None:
    assert read_mark(request_id) is None
