"""The invariants of a routing table. What they say here in a few lines, the rest of the package keeps true."""

# ruff: noqa: S101 - assertions are what this module is for

from __future__ import annotations

import math
from collections.abc import Sequence

from weftmesh.core.routing.ejecting import ejections_max
from weftmesh.core.routing.model import Condition, Endpoint, Row, Settings


def check_rows(endpoints: Sequence[Endpoint], settings: Settings, rows: Sequence[Row]) -> None:
    """Asserts what holds of every table."""
    assert [row.endpoint for row in rows] == [one.name for one in endpoints], "a row for each endpoint, in order"
    assert math.isclose(math.fsum(row.weight for row in rows), 1.0, abs_tol=1e-9), "weights sum to 1"
    for row in rows:
        assert 0.0 <= row.weight <= 1.0 + 1e-9, f"{row.endpoint}: weight {row.weight}"
        assert 0.0 <= row.admission <= 1.0, f"{row.endpoint}: admission {row.admission}"
        assert row.direction in (-1, 0, 1), f"{row.endpoint}: direction {row.direction}"
        assert row.turned_s <= row.moved_s, f"{row.endpoint}: it turned without moving"
    ejected = sum(row.condition is Condition.EJECTED for row in rows)
    assert ejected < len(rows), "the last endpoint is never ejected"
    assert ejected <= max(ejections_max(len(rows), settings), 0), "no more are ejected than may be"
