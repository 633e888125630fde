"""Token buckets: no more than the rate and the burst, and no less."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.rate import ROUNDING_S, Buckets, Rate

RATES = st.builds(Rate, per_s=st.floats(0.1, 10_000), burst=st.floats(1, 5_000))
PAUSES_S = st.lists(st.floats(0, 10), min_size=1, max_size=200)


@given(RATES, PAUSES_S)
def test_never_more_than_the_burst_and_what_time_brings(rate: Rate, pauses_s: list[float]) -> None:
    buckets, now_s, taken = Buckets(rate), 0.0, 0
    for pause_s in pauses_s:
        now_s += pause_s
        taken += not buckets.take("ann", now_s)
        assert taken <= rate.burst + rate.per_s * (now_s + 2 * ROUNDING_S)


@given(RATES, PAUSES_S)
def test_the_wait_that_is_told_is_long_enough_and_no_longer(rate: Rate, pauses_s: list[float]) -> None:
    buckets, now_s = Buckets(rate), 0.0
    for pause_s in pauses_s:
        now_s += pause_s
        if wait_s := buckets.take("ann", now_s):
            if 0.1 * wait_s > 2 * ROUNDING_S:
                assert buckets.take("ann", now_s + 0.9 * wait_s)
            now_s += wait_s
            assert not buckets.take("ann", now_s)


@given(RATES)
def test_a_caller_who_rested_has_the_whole_burst(rate: Rate) -> None:
    buckets = Buckets(rate)
    while not buckets.take("ann", 0.0):
        pass
    rested_s = 2 * rate.burst / rate.per_s
    assert [buckets.take("ann", rested_s) for _ in range(int(rate.burst))] == [0.0] * int(rate.burst)


def test_one_caller_does_not_use_up_what_another_has() -> None:
    buckets = Buckets(Rate(per_s=1, burst=2))
    assert [bool(buckets.take("ann", 0)) for _ in range(3)] == [False, False, True]
    assert buckets.take("bob", 0) == 0


def test_a_rate_that_changes_counts_from_the_next_call() -> None:
    buckets = Buckets(Rate(per_s=1, burst=1))
    assert not buckets.take("ann", 0)
    assert buckets.take("ann", 0.5) == pytest.approx(0.5)
    buckets.rate = Rate(per_s=100, burst=100)
    assert not buckets.take("ann", 0.5)
    assert [bool(buckets.take("ann", 2)) for _ in range(101)] == [False] * 100 + [True]


def test_more_than_a_burst_is_possible_once_the_bucket_is_full() -> None:
    buckets = Buckets(Rate(per_s=10, burst=5))
    assert not buckets.take("ann", 0, count=50)
    assert buckets.take("ann", 0, count=50) == pytest.approx(0.5)


def test_callers_who_were_quiet_the_longest_are_forgotten() -> None:
    buckets = Buckets(Rate(per_s=0.001, burst=1), callers_max=2)
    for caller in ("ann", "bob", "eve"):
        assert not buckets.take(caller, 0)
    assert len(buckets) == 2
    assert buckets.take("eve", 0)


@pytest.mark.parametrize(("per_s", "burst"), [(0, 1), (-1, 1), (1, 0.5)])
def test_a_rate_that_lets_nothing_through_is_refused(per_s: float, burst: float) -> None:
    with pytest.raises(InvalidInputError):
        Rate(per_s=per_s, burst=burst)
