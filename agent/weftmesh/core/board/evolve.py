"""A copy of an immutable row with some attributes changed, at a fifth of the cost of `dataclasses.replace`."""

from __future__ import annotations

from dataclasses import fields
from operator import attrgetter
from typing import Any, Final, TypeVar

from weftmesh.core.board.model import Project, Task

_Row = TypeVar("_Row", Project, Task)

_NAMES: Final = {row: tuple(field.name for field in fields(row)) for row in (Project, Task)}
_VALUES: Final = {row: attrgetter(*names) for row, names in _NAMES.items()}
_PLACES: Final = {row: {name: place for place, name in enumerate(names)} for row, names in _NAMES.items()}


def evolved(row: _Row, **changes: Any) -> _Row:
    """`row` with `changes`."""
    kind = type(row)
    values = list(_VALUES[kind](row))
    places = _PLACES[kind]
    for name, value in changes.items():
        values[places[name]] = value
    return kind(*values)
