from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from weftmesh.core.clock import COUNTER_BITS, MAX_DRIFT_MS, HybridClock, ms_to_stamp, stamp_to_ms
from weftmesh.runtime.clock import wall_ms, wall_us

NOW_MS = 1_790_000_000_000
times_ms = st.integers(min_value=1, max_value=2**47)


@given(st.lists(st.integers(min_value=NOW_MS, max_value=NOW_MS + MAX_DRIFT_MS), min_size=2, max_size=50))
def test_stamps_rise_wherever_the_wall_clock_goes(times: list[int]) -> None:
    clock = HybridClock()
    stamps = [clock.tick(now_ms) for now_ms in times]
    assert stamps == sorted(set(stamps))
    assert all(stamp_to_ms(stamp) >= now_ms for stamp, now_ms in zip(stamps, times, strict=True))


@given(st.lists(times_ms, min_size=2, max_size=50))
def test_no_stamp_is_further_ahead_than_others_would_follow(times: list[int]) -> None:
    clock = HybridClock()
    for now_ms in times:
        stamp = clock.tick(now_ms)
        assert now_ms <= stamp_to_ms(stamp)
        assert HybridClock().observe(stamp - 1, now_ms)


@given(st.integers(min_value=0, max_value=2**63 - 1), times_ms)
def test_a_tick_is_later_than_what_was_followed_and_never_than_what_was_not(stamp: int, now_ms: int) -> None:
    clock = HybridClock()
    if clock.observe(stamp, now_ms):
        assert clock.tick(now_ms) > stamp
    else:
        assert stamp_to_ms(stamp) > now_ms + MAX_DRIFT_MS
        assert clock.tick(now_ms) == ms_to_stamp(now_ms)


def test_the_drift_bound_is_inclusive() -> None:
    clock = HybridClock()
    assert clock.observe(ms_to_stamp(NOW_MS + MAX_DRIFT_MS), NOW_MS)
    assert not clock.observe(ms_to_stamp(NOW_MS + MAX_DRIFT_MS + 1), NOW_MS)


def test_an_old_stamp_changes_nothing() -> None:
    clock = HybridClock()
    first = clock.tick(NOW_MS)
    assert clock.observe(first - 5, NOW_MS)
    assert clock.last == first


def test_a_full_counter_carries_into_the_milliseconds() -> None:
    clock = HybridClock(ms_to_stamp(NOW_MS + 1) - 1)
    assert clock.tick(NOW_MS) == ms_to_stamp(NOW_MS + 1)


def test_a_stamp_holds_its_millisecond() -> None:
    assert stamp_to_ms(ms_to_stamp(NOW_MS)) == NOW_MS
    assert stamp_to_ms(ms_to_stamp(NOW_MS) + (1 << COUNTER_BITS) - 1) == NOW_MS


def test_a_restart_goes_on_from_the_last_stamp() -> None:
    last = HybridClock().tick(NOW_MS)
    assert HybridClock(last).tick(NOW_MS - 60_000) > last


def test_the_wall_clocks_agree() -> None:
    assert abs(wall_us() // 1_000 - wall_ms()) < 5_000
