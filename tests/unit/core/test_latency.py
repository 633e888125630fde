from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weftmesh.core.latency import VALUE_US_MAX, HistogramRow, LatencyWindow

values_us = st.one_of(st.integers(0, 100), st.integers(0, 10_000_000), st.integers(0, VALUE_US_MAX))


def exact(values: list[int], q: float) -> int:
    return sorted(values)[max(1, math.ceil(q * len(values))) - 1]


@given(st.lists(values_us, min_size=1, max_size=200), st.floats(0, 1))
def test_a_quantile_is_within_five_percent_of_the_exact_one(values: list[int], q: float) -> None:
    window = LatencyWindow()
    for value in values:
        window.add(0, value)
    assert window.quantile(0, q) == pytest.approx(exact(values, q), rel=0.04, abs=0.5)


@given(
    st.lists(st.tuples(st.integers(0, 400), values_us), min_size=1, max_size=100),
    st.integers(1, 12),
    st.integers(0, 3_000),
)
def test_only_the_window_counts(steps: list[tuple[int, int]], slots: int, later_ms: int) -> None:
    window_ms = 1_200
    window, now_ms, added = LatencyWindow(window_ms, slots), 0, list[tuple[int, int]]()
    for step_ms, value in steps:
        now_ms += step_ms
        window.add(now_ms, value)
        added.append((now_ms, value))
    now_ms += later_ms
    slot_ms = window_ms // slots
    kept = [value for at_ms, value in added if at_ms // slot_ms > now_ms // slot_ms - slots]
    assert window.count(now_ms) == len(kept) == sum(row.count for row in window.rows(now_ms))
    if kept:
        assert window.quantile(now_ms, 0.5) == pytest.approx(exact(kept, 0.5), rel=0.04, abs=0.5)
    else:
        assert window.quantile(now_ms, 0.5) is None


def test_a_long_silence_empties_the_window() -> None:
    window = LatencyWindow(window_ms=60_000)
    window.add(1_790_000_000_000, 5)
    assert window.count(1_790_000_059_000) in (0, 1)
    assert window.count(1_790_000_060_000) == 0
    assert window.rows(1_790_000_060_000) == []


def test_a_clock_that_runs_back_loses_nothing() -> None:
    window = LatencyWindow(window_ms=60_000)
    window.add(100_000, 5)
    window.add(10_000, 7)
    assert window.count(100_000) == 2


def test_values_beyond_the_scale_count_at_its_ends() -> None:
    window = LatencyWindow()
    window.add(0, -50)
    window.add(0, VALUE_US_MAX * 1_000)
    assert window.quantile(0, 0.0) == 0
    assert window.quantile(0, 1.0) == pytest.approx(VALUE_US_MAX, rel=0.04)


def test_rows_are_powers_of_two_without_a_gap() -> None:
    window = LatencyWindow()
    for value in (20, 31, 200, 200):
        window.add(0, value)
    assert window.rows(0) == [
        HistogramRow(16, 32, 2),
        HistogramRow(32, 64, 0),
        HistogramRow(64, 128, 0),
        HistogramRow(128, 256, 2),
    ]
