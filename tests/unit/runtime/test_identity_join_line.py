from __future__ import annotations

import pytest

from weftmesh.core.errors import InvalidInputError
from weftmesh.runtime.identity.join_line import JoinLine, split_token

SECRET = "s" * 32
LINE = JoinLine("a.example:7451", "i" * 8, SECRET, "0" * 64)


@pytest.mark.parametrize(
    "pasted",
    [
        str(LINE),
        f"  $ sudo {LINE}\n",
        str(LINE).removeprefix("weftmesh join "),
        str(LINE).replace(SECRET, f"{SECRET[:9]}\n  {SECRET[9:]}"),
        str(LINE).replace("weftmesh", "/usr/bin/weftmesh"),
    ],
)
def test_a_line_is_understood_however_it_was_pasted(pasted: str) -> None:
    assert JoinLine.parse(pasted) == LINE


@pytest.mark.parametrize(
    ("pasted", "said"),
    [
        ("", "two parts"),
        ("weftmesh join", "two parts"),
        ("weftmesh join a:1", "two parts"),
        (str(LINE).replace("wmj1", "wmj2"), "another version"),
        (str(LINE)[:-1], "incomplete or mistyped"),
        (str(LINE) + "0", "incomplete or mistyped"),
        (str(LINE).replace(SECRET, SECRET.upper()), "incomplete or mistyped"),
        (str(LINE).replace(":7451", ""), "is not an address"),
    ],
)
def test_a_broken_line_says_what_is_wrong_and_keeps_the_secret(pasted: str, said: str) -> None:
    with pytest.raises(InvalidInputError, match=said) as caught:
        JoinLine.parse(pasted)

    assert SECRET not in str(caught.value)


def test_the_secret_is_not_in_the_repr() -> None:
    assert SECRET not in repr(LINE)


def test_what_is_sent_splits_into_its_parts() -> None:
    assert split_token(LINE.token) == ("i" * 8, SECRET)
    assert split_token(LINE.token + "x") is None
