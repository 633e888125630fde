"""A clock is doubted when most others disagree with it, and never because of one that is wrong among several."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weftmesh.core.trust.clocks import who_disagrees

DAY_S = 86_400.0


@pytest.mark.parametrize(
    ("ahead_days", "apart"),
    [
        ({}, []),
        ({"n2": 0.9}, []),
        ({"n2": 1.1}, ["n2"]),
        ({"n2": -1.1}, ["n2"]),
        ({"n2": 0.0, "n3": 3.0}, []),
        ({"n2": 3.0, "n3": 3.1}, ["n2", "n3"]),
        ({"n2": 3.0, "n3": -3.0, "n4": 0.0}, ["n2", "n3"]),
    ],
)
def test_most_have_to_disagree(ahead_days: dict[str, float], apart: list[str]) -> None:
    assert who_disagrees({node: days * DAY_S for node, days in ahead_days.items()}, DAY_S) == apart


@given(st.dictionaries(st.text(max_size=3), st.floats(-10, 10)), st.floats(0, 10))
def test_whoever_is_named_is_apart_and_one_of_most(ahead_s: dict[str, float], bears_s: float) -> None:
    apart = who_disagrees(ahead_s, bears_s)
    assert all(abs(ahead_s[node]) > bears_s for node in apart)
    most = 2 * sum(abs(by_s) > bears_s for by_s in ahead_s.values()) > len(ahead_s)
    assert bool(apart) is most
