from __future__ import annotations

import pytest

from weftmesh.core.forecast.imported_times import imported_s


@pytest.mark.parametrize(
    ("text", "unix_s"),
    [
        ("2026-01-02T03:04:05+00:00", 1_767_323_045.0),
        ("2026-01-02T05:04:05+02:00", 1_767_323_045.0),
        ("2026-01-02T03:04:05.250Z", 1_767_323_045.25),
    ],
)
def test_a_time_with_a_zone_is_an_instant(text: str, unix_s: float) -> None:
    assert imported_s(text) == unix_s


@pytest.mark.parametrize("text", [None, "", "yesterday", "2026-01-02T03:04:05", "2026-13-02T03:04:05Z"])
def test_anything_else_is_no_time(text: str | None) -> None:
    assert imported_s(text) is None
