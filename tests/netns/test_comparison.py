"""When measured numbers count as equal to those of the log."""

from __future__ import annotations

import pytest
from tests.netns.comparison import Compared
from tests.netns.recomputation import Count


@pytest.mark.parametrize(
    ("measured", "logged", "kept"),
    [
        (Count(960, 1_000), Count(960, 1_000), True),
        (Count(959, 1_000), Count(960, 1_000), True),  # an event at the end of the window
        (Count(960, 1_002), Count(960, 1_000), False),  # 2 bad ones of 40 more
        (Count(9_595, 9_998), Count(9_600, 10_000), True),
        (Count(9_594, 10_000), Count(9_600, 10_000), False),  # nothing next to all events, and 1 % of the bad ones
        (Count(0, 0), Count(960, 1_000), False),
        (Count(0, 0), Count(0, 0), False),  # nothing was probed
    ],
)
def test_a_hundredth_may_differ_of_good_ones_of_bad_ones_and_of_all(measured: Count, logged: Count, kept: bool) -> None:
    assert Compared("", "web", "uptime", measured, logged).kept is kept


def test_at_the_edge_of_a_group_a_difference_is_shown_and_allowed() -> None:
    one = Compared("", "gate", "response-time-p50", Count(43, 100), Count(50, 100), edge=True)
    assert one.kept
    assert one.deviation == pytest.approx(0.12)
