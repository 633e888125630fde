"""One entry of a JSON export, read field by field; all that is wrong with it is collected, nothing of it is guessed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Final, TypeVar

from weftmesh.core.board.model import CUSTOM_PREFIX, FieldValue, Limits
from weftmesh.core.exchange.problems import CellError, Problem, shorten
from weftmesh.core.exchange.values import bounded, iso_utc, single_line

_NOT_IN_A_KEY: Final = re.compile(r"\W+")
_NO_TIME_YEAR: Final = 1
"""Go prints its zero time, of the year 1, where there is none."""
_NUMBER_CHARACTERS: Final = 40
_T = TypeVar("_T")


class Entry:
    """One JSON object.

    Attributes:
        line: the physical line it begins at, from 1.
        problems: what is wrong with it, so far.
        read: the names that were asked for.
    """

    def __init__(self, file: str, line: int, value: Mapping[str, object]) -> None:
        self.line = line
        self.problems: list[Problem] = []
        self.read: set[str] = set()
        self._file = file
        self._value = value

    def has(self, *names: str) -> bool:
        """Whether one of the names is there, even without a value."""
        return any(name in self._value for name in names)

    def get(self, *names: str) -> object:
        """The first value that is not null."""
        self.read.update(names)
        return next((value for name in names if (value := self._value.get(name)) is not None), None)

    def rest(self, ignored: frozenset[str]) -> Iterable[tuple[str, object]]:
        """Names nobody asked for, with their values, unless they are empty or `ignored`."""
        for name, value in self._value.items():
            if name not in self.read and name not in ignored and value not in (None, "", [], {}):
                yield name, value

    def line_of(self, limit_characters: int, *names: str) -> str:
        """A text on one line; empty when it is absent."""
        return self._parsed(names, lambda text: single_line(text, limit_characters)) or ""

    def title(self, limit_characters: int, name: str) -> str:
        """A text on one line that is not blank."""
        before = len(self.problems)
        found = self.line_of(limit_characters, name)
        if not found.strip() and len(self.problems) == before:
            self.problem(name, None, "is empty", "give it a title")
        return found

    def text(self, *names: str) -> str:
        """Any text that the board can hold; empty when it is absent."""
        return self._parsed(names, lambda text: text) or ""

    def moment(self, *names: str) -> datetime | None:
        """A time, in UTC; one without an offset is in UTC already."""
        return self._parsed(names, read_moment)

    def number(self, *names: str) -> int:
        """A positive whole number; 0, and a problem where something else stands."""
        value = self.get(*names)
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= Limits.TASK_NUMBER:
            return value
        fix = "export it again with this field" if value is None else "issues are numbered from 1 on; mend the entry"
        self.problem(names[0], value, "is no number of an issue", fix)
        return 0

    def items(self, *names: str) -> list[object]:
        """A list; empty when it is absent."""
        value = self.get(*names)
        if value is None:
            return []
        if isinstance(value, list):
            return value
        self.problem(names[0], value, "is not a list", "export it again")
        return []

    def attempt(self, name: str, value: object, parse: Callable[[], _T]) -> _T | None:
        """What `parse` returns; None, and a problem, when it cannot."""
        try:
            return parse()
        except CellError as error:
            self.problem(name, value, str(error), error.fix)
            return None

    def problem(self, name: str, value: object, message: str, fix: str) -> None:
        """Notes what is wrong."""
        shown = "" if value is None else shorten(value if isinstance(value, str) else repr(value))
        self.problems.append(Problem(self._file, self.line, name, shown, message, fix))

    def _parsed(self, names: tuple[str, ...], parse: Callable[[str], _T]) -> _T | None:
        value = self.get(*names)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            self.problem(names[0], value, "is not a text", "export it again")
            return None
        return self.attempt(names[0], value, lambda: parse(storable(value)))


class Dropped:
    """Counts what has no place on a board, by kind, for a report that hides nothing."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._counts: Counter[tuple[str, str, str]] = Counter()

    def add(self, what: str, message: str, fix: str = "keep the export if they are wanted", count: int = 1) -> None:
        """One more of `what`; unlike names of hostile files share one line."""
        key = (shorten(what), message, fix)
        if key not in self._counts and len(self._counts) >= Limits.CUSTOM_FIELDS:
            key = ("others", message, fix)
        self._counts[key] += count

    def notes(self) -> tuple[Problem, ...]:
        """One note a kind."""
        return tuple(
            Problem(self._file, 0, what, "", f"{count} {message}", fix)
            for (what, message, fix), count in self._counts.items()
        )


def storable(text: str) -> str:
    """`text`, if the board can hold it.

    Raises:
        CellError: it has a NUL character or half of a surrogate pair.
    """
    if "\0" in text:
        raise CellError("contains a NUL character", "remove it; text has none")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise CellError("contains half of a surrogate pair", "export it again as UTF-8") from None
    return text


def read_moment(text: str) -> datetime | None:
    """A time of ISO 8601, extended or basic, in UTC; None for the year 1, which means none.

    Raises:
        CellError: it is not a time.
    """
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise CellError("is not a time", "write it as 2026-11-21T09:00:00Z or 20261121T090000Z") from None
    return None if moment.year == _NO_TIME_YEAR else moment


def time_in(value: FieldValue) -> datetime | None:
    """The time that a custom field holds; None when it holds none."""
    if not isinstance(value, str) or not value:
        return None
    try:
        return read_moment(value)
    except CellError:
        return None


def moment_text(moment: datetime | None) -> str | None:
    """As a custom field keeps a time; None for none."""
    return iso_utc(moment) if moment is not None else None


def scalar_text(value: object) -> str | None:
    """A text, number or truth value as a custom field keeps it; None for anything else.

    Raises:
        CellError: the board cannot hold it.
    """
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return bounded(storable(value), Limits.CUSTOM_VALUE_CHARACTERS)
        case int() | float():
            return bounded(repr(value), _NUMBER_CHARACTERS)
    return None


def custom_path(name: str) -> str:
    """The custom field for an attribute that no field has; a key of small letters, digits and underscores."""
    key = _NOT_IN_A_KEY.sub("_", name.casefold()).strip("_")[: Limits.NAME_CHARACTERS]
    return CUSTOM_PREFIX + (key or "unnamed")


def count_customs(fields: Mapping[str, FieldValue]) -> int:
    """How many custom fields hold something."""
    return sum(path.startswith(CUSTOM_PREFIX) and value is not None for path, value in fields.items())
