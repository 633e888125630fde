"""What people write as shares of a route, as whole parts per billion."""

from __future__ import annotations

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weftmesh.cli.commands.route_shares import parts_of
from weftmesh.core.ola.model import WHOLE_PPB


def test_percents_become_parts_without_rounding() -> None:
    assert parts_of(["pay-1=95", "pay-2=5"]) == {"pay-1": 950_000_000, "pay-2": 50_000_000}
    thirds = parts_of(["a=33.3333333", "b=33.3333333", "c=33.3333334"])
    assert list(thirds.values()) == [333_333_333, 333_333_333, 333_333_334]
    assert parts_of(["a=b=100", "c=0"]) == {"a=b": WHOLE_PPB, "c": 0}


@given(st.integers(0, WHOLE_PPB))
def test_any_whole_number_of_parts_can_be_written(parts: int) -> None:
    written = [f"{name}={one // 10**7}.{one % 10**7:07d}" for name, one in (("a", parts), ("b", WHOLE_PPB - parts))]
    assert parts_of(written) == {"a": parts, "b": WHOLE_PPB - parts}


@pytest.mark.parametrize(
    ("shares", "why"),
    [
        (["a=95", "b=4"], "add up to 99, not"),
        (["a=50", "a=50"], "a has two shares"),
        (["a=99.99999999", "b=0.00000001"], "seven digits"),
        (["a=-5", "b=105"], "'a=-5' is no ENDPOINT=PERCENT"),
        (["a"], "'a' is no ENDPOINT=PERCENT"),
        (["=100"], "'=100' is no ENDPOINT=PERCENT"),
        (["a="], "'a=' is no ENDPOINT=PERCENT"),
        (["a=nan"], "'a=nan' is no ENDPOINT=PERCENT"),
        (["a=1e9999999999999999999999"], "is no ENDPOINT=PERCENT"),
    ],
)
def test_what_is_no_order_is_told(shares: list[str], why: str) -> None:
    with pytest.raises(click.UsageError, match=why):
        parts_of(shares)
