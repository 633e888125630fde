"""Cycle times (created to resolved) as piecewise-constant hazards: what was seen, and the curve that follows.

Time since creation is cut into intervals. In each, an open task is resolved at a constant rate, so that any record says
two numbers per interval: how long it was at risk there, and whether it was resolved there. A task that is still open
is a record like any other, without a resolution (M. Friedman, Annals of Statistics 10 (1982)).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from weftmesh.core.errors import InvalidInputError

HOUR_S: Final = 3_600.0
DAY_S: Final = 86_400.0
EDGES_S: Final = (
    *(0.0, 600.0, HOUR_S, 4 * HOUR_S, 12 * HOUR_S),
    *(days * DAY_S for days in (1, 2, 3, 5, 7, 10, 14, 21, 30, 45, 60, 90, 120, 180, 270, 365, 545, 730, 1_095, 1_825)),
)
"""Where each interval begins, seconds since creation; the last one has no end."""
INTERVALS: Final = len(EDGES_S)
WIDTHS_S: Final = (*(after - at for at, after in pairwise(EDGES_S)), 730 * DAY_S)
"""The unit of exposure in each interval; the last one's is a choice, as it has no end."""
PHASE_STARTS: Final = (0, 5, 11, 16)
"""The intervals at which a phase of a task's life begins: its first day, its first two weeks, three months, later.
What hastens a task on its first day says little about it after a year; a feature has one weight per phase."""
PHASES: Final = len(PHASE_STARTS)
PHASE_OF: Final = tuple(sum(start <= interval for start in PHASE_STARTS) - 1 for interval in range(INTERVALS))
TIME_S_MAX: Final = 2e11
"""In the year 8307; calendars end soon after."""
REMAINING_S_MAX: Final = 36_525 * DAY_S
"""100 years: what a quantile that the rates put later is cut to."""


@dataclass(frozen=True, slots=True)
class TaskTimes:
    """When a task was created and resolved, Unix seconds from 0 to TIME_S_MAX.

    Raises:
        InvalidInputError: a time is out of range, or the task is resolved before it is created.
    """

    created_s: float
    resolved_s: float | None

    def __post_init__(self) -> None:
        if not 0.0 <= self.created_s <= TIME_S_MAX:
            raise InvalidInputError(f"created at {self.created_s}: give Unix seconds")
        if self.resolved_s is not None and not self.created_s <= self.resolved_s <= TIME_S_MAX:
            raise InvalidInputError(
                f"resolved at {self.resolved_s}, created at {self.created_s}: resolve it at or after its creation"
            )

    def duration_s(self, now_s: float) -> float:
        """How long it took, or has been open at `now_s`."""
        return (now_s if self.resolved_s is None else self.resolved_s) - self.created_s

    def known_at(self, now_s: float) -> TaskTimes:
        """The same task as it was known then: a later resolution is forgotten."""
        if self.resolved_s is None or self.resolved_s <= now_s:
            return self
        return TaskTimes(self.created_s, None)


@dataclass(frozen=True, slots=True)
class Exposure:
    """What one task shows about the rates.

    Attributes:
        at_risk: how long it was open in each interval it reached, in units of WIDTHS_S, recent time counting more.
        resolved_in: the interval it was resolved in; None while it is open.
        resolution: what its resolution counts, 0 to 1.
    """

    at_risk: tuple[float, ...]
    resolved_in: int | None
    resolution: float


def exposure(task: TaskTimes, now_s: float, half_life_s: float, open_weight: float = 1.0) -> Exposure:
    """What a task shows at `now_s`, where what happened `half_life_s` ago counts half.

    The weight follows the calendar, not the task: the rate at which year-old tasks are resolved is learned from what
    happened to year-old tasks lately, and not only from those few that were created lately.

    Args:
        task: its times; a resolution after `now_s` is not used.
        now_s: the moment, Unix seconds.
        half_life_s: how fast the past fades.
        open_weight: what the exposure of a task that is still open counts, 0 to 1.

    Raises:
        InvalidInputError: the task was created after `now_s`, the half-life is not positive, or the weight is not
            between 0 and 1.
    """
    if not half_life_s > 0 or not 0.0 <= open_weight <= 1.0:
        raise InvalidInputError(f"half-life {half_life_s} s and weight {open_weight}: give one above 0 and one up to 1")
    if not task.created_s <= now_s:
        raise InvalidInputError(f"a task is created at {task.created_s}, after the time asked for, {now_s}")
    known = task.known_at(now_s)
    duration_s = known.duration_s(now_s)
    end_s = task.created_s + duration_s
    last = interval_at(duration_s)
    decay = math.log(2.0) / half_life_s
    weight = open_weight if known.resolved_s is None else 1.0
    at_risk = []
    for interval in range(last + 1):
        begin_s = task.created_s + EDGES_S[interval]
        until_s = end_s if interval == last else task.created_s + EDGES_S[interval + 1]
        faded_s = -math.expm1(decay * (begin_s - until_s)) * math.exp(decay * (until_s - now_s)) / decay
        at_risk.append(weight * faded_s / WIDTHS_S[interval])
    if known.resolved_s is None:
        return Exposure(tuple(at_risk), None, 0.0)
    return Exposure(tuple(at_risk), last, math.exp(decay * (end_s - now_s)))


def interval_at(duration_s: float) -> int:
    """The interval that a duration falls into; one that ends on an edge is in the interval before it."""
    interval = INTERVALS - 1
    while interval > 0 and duration_s <= EDGES_S[interval]:
        interval -= 1
    return interval


class HazardCurve:
    """The distribution of one task's cycle time.

    Args:
        rates: one per interval, resolutions per unit of WIDTHS_S.

    Raises:
        InvalidInputError: there are not INTERVALS rates, or one is not finite and positive.
    """

    def __init__(self, rates: Sequence[float]) -> None:
        if len(rates) != INTERVALS or not all(0.0 < rate < math.inf for rate in rates):
            raise InvalidInputError(f"a hazard curve needs {INTERVALS} finite positive rates")
        self._rates = tuple(rate / width_s for rate, width_s in zip(rates, WIDTHS_S, strict=True))
        """Resolutions per second."""
        total = 0.0
        self._before = [total]
        """The cumulative hazard at each interval's beginning."""
        for rate, width_s in zip(self._rates[:-1], WIDTHS_S, strict=False):
            total += rate * width_s
            self._before.append(total)

    def cumulative(self, duration_s: float) -> float:
        """The cumulative hazard; minus the logarithm of the survival."""
        interval = interval_at(duration_s)
        return self._before[interval] + self._rates[interval] * (duration_s - EDGES_S[interval])

    def finished_by(self, duration_s: float) -> float:
        """The probability that the task takes no longer than this."""
        return -math.expm1(-self.cumulative(duration_s))

    def quantile_s(self, level: float, open_for_s: float = 0.0) -> float:
        """The cycle time that a fraction `level` of such tasks does not exceed, seconds since creation.

        Args:
            level: between 0 and 1.
            open_for_s: for how long the task has been open; the quantile is of those that were open as long.

        Raises:
            InvalidInputError: the level or the duration makes no sense.
        """
        if not 0.0 < level < 1.0:
            raise InvalidInputError(f"a quantile's level is {level}: give a number between 0 and 1")
        if not 0.0 <= open_for_s < math.inf:
            raise InvalidInputError(f"a task is open for {open_for_s} s: give a finite number of at least 0")
        target = self.cumulative(open_for_s) - math.log1p(-level)
        interval = INTERVALS - 1
        while interval > 0 and self._before[interval] >= target:
            interval -= 1
        total_s = EDGES_S[interval] + (target - self._before[interval]) / self._rates[interval]
        # Rounding may put the total a hair before the present.
        return min(max(total_s, open_for_s), open_for_s + REMAINING_S_MAX)
