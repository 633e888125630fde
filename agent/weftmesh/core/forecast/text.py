"""A task's text made ready for counting: markup taken out, words, word pairs, and nine facts about its shape."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

TITLE_CHARS_MAX: Final = 1_000
DESCRIPTION_CHARS_MAX: Final = 20_000
"""What is read of a title and a description; longer ones are cut, so that a pasted log costs no more than this."""
PROSE_CHARS_MAX: Final = 1_500
"""Words are taken from this much of a description once code is out: what follows is seldom about the work."""
TITLE_REPEATS: Final = 2
"""A word of the title counts as two of the description."""

SHAPE_NAMES: Final = (
    "length of the title",
    "length of the description",
    "no description",
    "lines of the description",
    "contains code",
    "mentions an exception",
    "title names a defect",
    "has acceptance criteria",
    "list items",
)
"""What `shape` measures, in its order, in words for people."""

_CODE_MARK: Final = "codeblock"
_LINK_MARK: Final = "weblink"
_FENCE: Final = re.compile(r"\{(code|noformat)[^}\n]{0,80}\}|```")
_LINK: Final = re.compile(r"https?://\S+")
_WORD: Final = re.compile(r"[^\W\d_]{2,}")
_EXCEPTION: Final = ("exception", "stack trace", "stacktrace", "traceback")
_DEFECT: Final = ("bug", "fix", "error", "fail", "broken", "crash")
_STORY: Final = ("acceptance criteria", "as a ", "as an ")


@dataclass(frozen=True, slots=True)
class TaskText:
    """What a person wrote about a task."""

    title: str
    description: str = ""


def words(text: TaskText) -> list[str]:
    """The words that count: lower case, at least two letters of any script, the title's twice.

    Args:
        text: of any length; see `TITLE_CHARS_MAX`, `DESCRIPTION_CHARS_MAX` and `PROSE_CHARS_MAX` for what is read.
    """
    title = _words_of(text.title[:TITLE_CHARS_MAX])
    prose = _prose(text.description[:DESCRIPTION_CHARS_MAX])[:PROSE_CHARS_MAX]
    return title * TITLE_REPEATS + _words_of(prose)


def shape(text: TaskText) -> tuple[float, ...]:
    """The text's shape, one value for each of `SHAPE_NAMES`: natural logarithms of counts plus one, and 0 or 1."""
    title, description = text.title[:TITLE_CHARS_MAX], text.description[:DESCRIPTION_CHARS_MAX]
    lowered = description.lower()
    return (
        math.log1p(len(title)),
        math.log1p(len(description)),
        float(not description),
        math.log1p(description.count("\n")),
        float(_FENCE.search(description) is not None),
        _has(lowered, _EXCEPTION),
        _has(title.lower(), _DEFECT),
        _has(lowered, _STORY),
        math.log1p(description.count("*")),
    )


def _has(lowered: str, phrases: tuple[str, ...]) -> float:
    # Six times as quick as expressions that ignore case.
    return float(any(phrase in lowered for phrase in phrases))


def _words_of(text: str) -> list[str]:
    # The same word typed on two systems may be composed or decomposed; without this "ü" would be two words.
    found: list[str] = _WORD.findall(unicodedata.normalize("NFC", text).lower())
    return found


def _prose(description: str) -> str:
    return _LINK.sub(f" {_LINK_MARK} ", "".join(_without_code(description)))


def _without_code(text: str) -> Iterator[str]:
    """The text with a mark in place of each code block. A block that is never closed is taken for prose.

    One pass over the fences: a single expression for "fence ... same fence" would look for the end of each unclosed
    fence through the whole rest of the text.
    """
    fences = list(_FENCE.finditer(text))
    ends = {_kind(fence): index for index, fence in enumerate(fences)}
    position, index = 0, 0
    while index < len(fences):
        opening = fences[index]
        index += 1
        if ends[_kind(opening)] < index:
            continue
        while _kind(fences[index]) != _kind(opening):
            index += 1
        yield text[position : opening.start()]
        yield f" {_CODE_MARK} "
        position = fences[index].end()
        index += 1
    yield text[position:]


def _kind(fence: re.Match[str]) -> str:
    return fence[1] or "```"
