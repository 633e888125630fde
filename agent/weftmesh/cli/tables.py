"""Tables that fit the terminal: one line a row, long text cut with an ellipsis. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rich.cells import cell_len, set_cell_size

GAP: Final = "  "
ELLIPSIS: Final = "…"
FLEXIBLE_MIN: Final = 8
"""A flexible column keeps this many cells, if the terminal has them."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table."""

    title: str
    flexible: bool = False
    """Free text: cut before anything else is."""
    right: bool = False
    """Numbers: aligned to the right."""


def lay_out(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int | None) -> list[str]:
    """The lines of a table, its header first; none is wider than `width` cells (None for no limit)."""
    cells = [[one_line(cell) for cell in row] for row in rows]
    natural = [
        max(cell_len(text) for text in (column.title, *(row[i] for row in cells))) for i, column in enumerate(columns)
    ]
    widths = natural if width is None else fit(natural, [column.flexible for column in columns], width)
    return [_line(columns, row, widths) for row in ([column.title for column in columns], *cells)]


def fit(natural: Sequence[int], flexible: Sequence[bool], width: int) -> list[int]:
    """The width of each column so that all of them and the gaps fit into `width`.

    Flexible columns give way first, the widest before the narrower; then the rest, from the right, to nothing.
    """
    widths = list(natural)
    excess = sum(widths) + len(GAP) * (len(widths) - 1) - width
    while excess > 0:
        candidates = [i for i, wide in enumerate(widths) if flexible[i] and wide > FLEXIBLE_MIN]
        if not candidates:
            break
        widths[max(candidates, key=lambda i: widths[i])] -= 1
        excess -= 1
    for i in reversed(range(len(widths))):
        if excess <= 0:
            break
        taken = min(excess, widths[i] + (len(GAP) if i else 0))
        widths[i] = max(widths[i] - taken, 0)
        excess -= taken
    return widths


def one_line(text: str) -> str:
    """`text` without line breaks and control characters, which could rearrange a terminal."""
    return "".join(character if character.isprintable() else " " for character in text)


def cut(text: str, width: int) -> str:
    """`text`, or its beginning and an ellipsis, in at most `width` cells."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - 1).rstrip() + ELLIPSIS if width > 0 else ""


def _line(columns: Sequence[Column], row: Sequence[str], widths: Sequence[int]) -> str:
    parts = []
    for column, text, width in zip(columns, row, widths, strict=True):
        if width == 0 and column.title:
            continue
        shown = cut(text, width)
        padding = " " * (width - cell_len(shown))
        parts.append(padding + shown if column.right else shown + padding)
    return GAP.join(parts).rstrip()
