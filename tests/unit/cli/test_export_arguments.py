"""`weftmesh export`: a format, a project, both or neither."""

from __future__ import annotations

import click
import pytest

from weftmesh.cli.commands.export import _arguments


@pytest.mark.parametrize(
    ("words", "option", "expected"),
    [
        ((), None, ("csv", None)),
        (("PAY",), None, ("csv", "PAY")),
        (("github",), None, ("github", None)),
        (("taskwarrior", "PAY"), None, ("taskwarrior", "PAY")),
        (("GITHUB",), None, ("csv", "GITHUB")),
        (("github", "GITHUB"), None, ("github", "GITHUB")),
        (("PAY",), "jsonl", ("jsonl", "PAY")),
        (("github",), "jsonl", ("jsonl", "github")),
    ],
)
def test_which_word_is_what(words: tuple[str, ...], option: str | None, expected: tuple[str, str | None]) -> None:
    assert _arguments(words, option) == expected


@pytest.mark.parametrize("words", [("PAY", "BILL"), ("github", "PAY", "BILL"), ("PAY", "github")])
def test_one_word_too_many_is_refused(words: tuple[str, ...]) -> None:
    with pytest.raises(click.UsageError, match="one word too many"):
        _arguments(words, None)
