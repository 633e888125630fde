"""What is wrong with a row, said so that a person can find it and mend it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Final

from weftmesh.core.errors import InvalidInputError

VALUE_CHARACTERS: Final = 80
"""A problem quotes this much of the offending value."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing a person has to know about one row.

    Attributes:
        file: as the caller named it.
        line: the row's first physical line, from 1; 0 for the file as a whole.
        column: the header of the column, or a field's path; empty for the row as a whole.
        value: what stands there, shortened.
        message: what is wrong.
        fix: what to do.
    """

    file: str
    line: int
    column: str
    value: str
    message: str
    fix: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        what = f" {self.column}" if self.column else ""
        quoted = f" {self.value!r}" if self.value else ""
        return f"{where}:{what}{quoted}: {self.message}; {self.fix}"

    def to_json(self) -> dict[str, object]:
        """The problem as a JSON object with the attributes' names."""
        return asdict(self)


class CellError(InvalidInputError):
    """The text of one cell is not a value of its field; `fix` says what to do."""

    def __init__(self, message: str, fix: str) -> None:
        super().__init__(message)
        self.fix = fix


def shorten(text: str) -> str:
    """The beginning of `text`, at most VALUE_CHARACTERS long."""
    return text if len(text) <= VALUE_CHARACTERS else text[: VALUE_CHARACTERS - 1] + "…"
