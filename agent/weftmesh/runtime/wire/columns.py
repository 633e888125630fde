"""What the rows of a snapshot have in common: batches of values, tables that columns name by place, shared objects."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import fields
from typing import Any, Final, TypeVar

from weftmesh.core.board.compact import shared_texts
from weftmesh.core.board.model import FieldValue, Limits

BATCH_VALUES: Final = 128
BATCH_CHARACTERS: Final = 256 * 1024
"""A row ends with the value that reaches either: it takes about a millisecond to make, then a writer may pause."""
_GENERATION: Final = 4 * Limits.REQUESTS_REMEMBERED
"""Values known at least: the id, the revision, the stamp and the request id of each write that is remembered."""

_Value = TypeVar("_Value")
_Key = TypeVar("_Key", bound=Hashable)


def batches(values: Iterable[_Value], characters: Callable[[_Value], int]) -> Iterator[list[_Value]]:
    """`values` in lists that are small enough for a row each; `characters` says how much text one has."""
    batch: list[_Value] = []
    size = 0
    for value in values:
        batch.append(value)
        size += characters(value)
        if len(batch) >= BATCH_VALUES or size >= BATCH_CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def characters_in(value: FieldValue) -> int:
    """Roughly the length of a value when it is written down."""
    if isinstance(value, str):
        return len(value)
    return sum(map(len, value)) if isinstance(value, frozenset) else 1


class Places(dict[_Key, int]):
    """The place of each different value in a table, counted from 1; the value that stands for nothing has place 0.

    Looking up a value that is new lets it join the table.
    """

    def __init__(self, nothing: _Key) -> None:
        super().__init__({nothing: 0})

    def __missing__(self, value: _Key) -> int:
        place = self[value] = len(self)
        return place

    def of(self, values: Iterable[_Key]) -> list[int]:
        """The place of each of `values`."""
        return list(map(self.__getitem__, values))

    @property
    def table(self) -> list[_Key]:
        """The values by place, from the first."""
        return list(self)[1:]


def exactly(value: FieldValue) -> Hashable:
    """A key for `Places`: 0.0 equals -0.0, and 1.0 equals 1, but what was written must come back."""
    return (value.hex(),) if isinstance(value, float) else value


def from_exactly(key: Any) -> FieldValue:
    """The value whose key this is."""
    value: FieldValue = float.fromhex(key[0]) if isinstance(key, tuple) else key
    return value


def text_table(texts: Sequence[str]) -> list[str]:
    """A table of texts by place."""
    return ["", *shared_texts(texts)]


def at_places(table: Sequence[_Value], places: Sequence[int]) -> list[_Value]:
    """The values at `places` (not negative); LookupError when there is none."""
    return list(map(table.__getitem__, places))


def records(kind: type[_Value], /, **columns: Sequence[object]) -> list[_Value]:
    """Immutable records from a column for each attribute of the data class `kind`, which keeps them in slots.

    Filling one slot of all records after another takes less than half the time of calling a frozen class.

    Raises:
        TypeError: an attribute has no column.
        ValueError: the columns are not of one length.
    """
    setters = _setters(kind)
    if columns.keys() != setters.keys():
        raise TypeError(f"{kind.__name__} has other attributes than {sorted(columns)}")
    lengths = {len(column) for column in columns.values()}
    if len(lengths) != 1:
        raise ValueError(f"its columns have {sorted(lengths)} values")
    made = [object.__new__(kind) for _ in range(lengths.pop())]
    for name, column in columns.items():
        deque(map(setters[name], made, column), maxlen=0)
    return made


def _setters(kind: Any) -> dict[str, Callable[[Any, Any], None]]:
    return {field.name: getattr(kind, field.name).__set__ for field in fields(kind)}


class Sharing:
    """Makes one object of equal values in different rows: an id, a stamp or a revision stands in several of them."""

    def __init__(self) -> None:
        self._known: dict[Hashable, Hashable] = {}
        self._known_before: dict[Hashable, Hashable] = {}

    def column(self, values: Sequence[_Key]) -> list[_Key]:
        """`values`, each as the object that came first, if that is not long ago. Texts, bytes and integers only."""
        if len(self._known) > _GENERATION:
            self._known_before, self._known = self._known, {}
        earlier: Iterable[Hashable] = map(self._known_before.get, values, values)
        return list(map(self._known.setdefault, values, earlier))  # type: ignore[arg-type]  # equal, so of one type
