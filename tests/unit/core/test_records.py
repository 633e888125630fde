"""A record compares and hashes by its fields, as a frozen dataclass does."""

from __future__ import annotations

from dataclasses import field, replace

import pytest

from weftmesh.core.records import record


@record(frozen=True, slots=True)
class Point:
    x: int
    y: int = 0
    names: tuple[str, ...] = field(default=())


def test_equal_fields_make_equal_records_of_one_hash() -> None:
    assert Point(1, 2) == Point(1, y=2)
    assert Point(1, 2) != Point(2, 1)
    assert len({Point(1, 2), Point(1, 2), Point(2, 1)}) == 2


def test_a_copy_leaves_the_original_alone() -> None:
    point = Point(1)

    assert replace(point, y=3) == Point(1, 3)
    assert point == Point(1)


def test_a_record_has_no_other_attributes() -> None:
    with pytest.raises(AttributeError):
        Point(1).z = 1  # type: ignore[attr-defined]
