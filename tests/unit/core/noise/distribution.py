"""The discrete Gaussian's exact probabilities, and how far counted samples are from them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

CELL_MIN = 10.0
"""Pearson's statistic is near its distribution when at least so many are expected in each cell."""


def probabilities(variance: float) -> dict[int, float]:
    """Of every integer within 12 standard deviations, which is all but 1e-32."""
    most = math.ceil(12 * math.sqrt(variance))
    weights = {x: math.exp(-x * x / (2 * variance)) for x in range(-most, most + 1)}
    total = math.fsum(weights.values())
    return {x: weight / total for x, weight in weights.items()}


def chi_square(samples: Iterable[int], expected: dict[int, float]) -> tuple[float, int]:
    """Pearson's statistic and its degrees of freedom; neighbouring values share a cell where few are expected."""
    counts = Counter(samples)
    size, statistic, cells = counts.total(), 0.0, 0
    assert set(counts) <= set(expected), "a sample beyond 12 standard deviations"
    due, seen = 0.0, 0
    for value in sorted(expected):
        due += size * expected[value]
        seen += counts[value]
        if due >= CELL_MIN:
            statistic += (seen - due) ** 2 / due
            cells, due, seen = cells + 1, 0.0, 0
    return statistic, cells - 1


def critical(degrees: int) -> float:
    """The value that a chi-square exceeds once in a million: Wilson and Hilferty's approximation (1931)."""
    part = 2 / (9 * degrees)
    return degrees * (1 - part + 4.753 * math.sqrt(part)) ** 3
