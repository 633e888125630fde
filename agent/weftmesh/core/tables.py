"""Rows of a replicated machine by key, each of which weighs in the machine's state hash."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

_Key = TypeVar("_Key", bound=Hashable)
_Row = TypeVar("_Row")


class Table(Generic[_Key, _Row]):
    """Rows by key, in the order in which they came.

    Args:
        row_hash: of one row, 0 to 2^128 - 1.
    """

    def __init__(self, row_hash: Callable[[_Row], int]) -> None:
        self._row_hash = row_hash
        self._rows: dict[_Key, _Row] = {}

    def get(self, key: _Key) -> _Row | None:
        """The row under `key`."""
        return self._rows.get(key)

    def __getitem__(self, key: _Key) -> _Row:
        return self._rows[key]

    def __contains__(self, key: _Key) -> bool:
        return key in self._rows

    def __iter__(self) -> Iterator[_Row]:
        return iter(self._rows.values())

    def __len__(self) -> int:
        return len(self._rows)

    def put(self, key: _Key, row: _Row) -> int:
        """Adds or replaces a row; returns by how much the sum of hashes changes."""
        before = self._rows.get(key)
        self._rows[key] = row
        return self._row_hash(row) - (0 if before is None else self._row_hash(before))

    def drop(self, key: _Key) -> int:
        """Removes a row; returns by how much the sum of hashes changes."""
        return -self._row_hash(self._rows.pop(key))
