"""A histogram with fixed bounds: one list of counts and one sum, whatever is observed."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import Final

LATENCY_BOUNDS_S: Final = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005),
    *(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),
)
"""From what a disk with a battery takes to what an election takes; 5 ms is the promise of a sync."""


class Histogram:
    """Counts of observations at or below each bound.

    One thread at a time observes; another one may read meanwhile, and then misses that observation or a part of it.

    Args:
        bounds: rising; everything above the last one is counted as infinite.
    """

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: tuple[float, ...] = LATENCY_BOUNDS_S) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count `value`, in the metric's unit."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    @property
    def sum(self) -> float:
        """Of all that was observed."""
        return self._sum

    @property
    def count(self) -> int:
        """How much was observed."""
        return sum(self._counts)

    def cumulative(self) -> Iterator[tuple[float, int]]:
        """Each bound, infinity at the end, with how many observations were at or below it."""
        reached = 0
        for bound, count in zip((*self._bounds, float("inf")), tuple(self._counts), strict=True):
            reached += count
            yield bound, reached
