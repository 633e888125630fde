from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weftmesh.cli.sizes import size_text


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1_572_864, "1.5 MiB"),
        (5 << 30, "5.0 GiB"),
        (3 << 40, "3.0 TiB"),
    ],
)
def test_a_size_is_in_the_unit_that_people_would_take(size_bytes: int, text: str) -> None:
    assert size_text(size_bytes) == text


@given(st.integers(0, 2**63 - 1))
def test_every_size_has_a_short_text(size_bytes: int) -> None:
    assert len(size_text(size_bytes)) <= len("8388608.0 TiB")
