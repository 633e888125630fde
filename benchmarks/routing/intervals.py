"""Intervals over seeds: a paired bootstrap, since every policy meets the same scenarios."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

RESAMPLES: Final = 2000
LEVEL: Final = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its 95 % percentile interval."""

    value: float
    low: float
    high: float


def ratio_of_means(ours: Sequence[float], theirs: Sequence[float]) -> Interval:
    """The mean of one over the mean of the other, seed by seed in pairs."""
    return _bootstrap(len(ours), lambda seeds: sum(ours[one] for one in seeds) / sum(theirs[one] for one in seeds))


def mean(values: Sequence[float]) -> Interval:
    """The mean over seeds."""
    return _bootstrap(len(values), lambda seeds: sum(values[one] for one in seeds) / len(seeds))


def _bootstrap(count: int, statistic: Callable[[Sequence[int]], float]) -> Interval:
    rng = random.Random("intervals")  # noqa: S311
    drawn = sorted(statistic([rng.randrange(count) for _ in range(count)]) for _ in range(RESAMPLES))
    cut = int(RESAMPLES * (1.0 - LEVEL) / 2.0)
    return Interval(statistic(range(count)), drawn[cut], drawn[-cut - 1])
