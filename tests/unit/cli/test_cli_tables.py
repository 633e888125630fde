from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from weftmesh.cli.tables import Column, cut, fit, lay_out

COLUMNS = (Column("KEY"), Column("STATUS"), Column("TITLE", flexible=True), Column("N", right=True))
ROWS = [
    ["PROJ-1", "doing", "A long title that goes on and on " * 5, "12"],
    ["PROJ-22", "done", "日本語の題名" * 20, "3"],
]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    lines = lay_out(COLUMNS, ROWS, width)
    assert len(lines) == 3
    assert all(cell_len(line) <= width for line in lines)
    assert lines[1].startswith("PROJ-1   doing   A long title")
    assert lines[1].count("…") == 1


@given(st.lists(st.tuples(st.integers(0, 300), st.booleans()), min_size=1, max_size=8), st.integers(1, 200))
def test_columns_always_fit(columns: list[tuple[int, bool]], width: int) -> None:
    natural = [wide for wide, _ in columns]
    rows = [["x" * wide for wide in natural]]
    lines = lay_out([Column("", flexible=flexible) for _, flexible in columns], rows, width)
    assert all(cell_len(line) <= width for line in lines)
    assert all(got <= wide for got, wide in zip(fit(natural, [f for _, f in columns], width), natural, strict=True))


@given(st.text(), st.integers(0, 40))
def test_a_cut_text_has_at_most_its_width(text: str, width: int) -> None:
    assert cell_len(cut(text, width)) <= width


def test_without_a_terminal_nothing_is_cut() -> None:
    lines = lay_out(COLUMNS, ROWS, None)
    assert "…" not in "".join(lines)
    assert ROWS[0][2].strip() in lines[1]


def test_text_cannot_rearrange_the_terminal() -> None:
    lines = lay_out([Column("A")], [["one\ntwo\x1b[31m\r"]], None)
    assert lines[1] == "one two [31m"


def test_numbers_stand_on_the_right() -> None:
    lines = lay_out([Column("N", right=True)], [["1"], ["234"]], 80)
    assert lines == ["  N", "  1", "234"]
