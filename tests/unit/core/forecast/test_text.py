"""Words and shape of a task's text."""

from __future__ import annotations

import math
import time
import unicodedata

from hypothesis import given, settings
from hypothesis import strategies as st

from weftmesh.core.forecast.text import DESCRIPTION_CHARS_MAX, SHAPE_NAMES, TaskText, shape, words


def test_the_title_counts_twice() -> None:
    assert words(TaskText("Restart fails", "after upgrade")) == ["restart", "fails"] * 2 + ["after", "upgrade"]


def test_digits_and_single_letters_do_not_count() -> None:
    assert words(TaskText("", "x 42 nodes v2 snake_case ip4")) == ["nodes", "snake", "case", "ip"]


def test_code_and_links_become_one_word_each() -> None:
    text = TaskText("", "see {code:java}int secret;{code} or ```more secret``` at https://example.org/secret now")
    assert words(text) == ["see", "codeblock", "or", "codeblock", "at", "weblink", "now"]


def test_a_block_that_is_never_closed_is_prose() -> None:
    assert words(TaskText("", "first {code} second ```x {noformat}")) == ["first", "code", "second", "noformat"]


def test_another_kind_of_fence_does_not_close_a_block() -> None:
    assert words(TaskText("", "{code} hidden ``` hidden {noformat} hidden {code} shown")) == ["codeblock", "shown"]


def test_composed_and_decomposed_letters_are_one_word() -> None:
    title = "Überprüfung"
    assert words(TaskText(title)) == words(TaskText(unicodedata.normalize("NFD", title))) == ["überprüfung"] * 2


def test_many_unclosed_fences_take_no_longer_than_reading_them() -> None:
    started = time.process_time()
    words(TaskText("", "{code}{noformat" * DESCRIPTION_CHARS_MAX + "```{code:" * DESCRIPTION_CHARS_MAX))
    assert time.process_time() - started < 1


def test_the_shape_says_what_it_is_named_for() -> None:
    named = dict(
        zip(
            SHAPE_NAMES,
            shape(TaskText("Fix crash", "As a user\n* one\n* two {code}java.io.IOException{code}")),
            strict=True,
        )
    )
    assert named["length of the title"] == math.log1p(9)
    assert named["lines of the description"] == math.log1p(2)
    assert named["list items"] == math.log1p(2)
    assert named["no description"] == 0
    flags = ("contains code", "mentions an exception", "title names a defect", "has acceptance criteria")
    assert [named[flag] for flag in flags] == [1, 1, 1, 1]


def test_an_empty_text_has_a_shape_and_no_words() -> None:
    assert words(TaskText("")) == []
    assert shape(TaskText(""))[SHAPE_NAMES.index("no description")] == 1


@settings(max_examples=40, deadline=None)
@given(st.text(), st.text())
def test_any_text_is_read(title: str, description: str) -> None:
    text = TaskText(title, description)
    assert all(word == word.lower() and len(word) >= 2 for word in words(text))
    assert all(math.isfinite(value) and value >= 0 for value in shape(text))
