"""Whether a budget is spent too fast: burn rates over a long and a short window at once.

The pairs and their factors are those of Beyer et al., The Site Reliability Workbook (2018), chapter 5: they spend 2 %,
5 % and 10 % of the budget of 30 days. The long window shows that it matters, the short one that it goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import ceil
from typing import Final

from weftmesh.core.ola.budget import Count, Counts, ErrorBudget, burn_rate
from weftmesh.core.ola.model import WHOLE_PPB
from weftmesh.core.records import record

HOUR_S: Final = 3600
EVENTS_MIN: Final = 10
"""With less events in the long window a rate says nothing, whatever the objective."""


@record(frozen=True, slots=True)
class BurnRule:
    """Windows and the rate above which they tell a breach."""

    long_s: int
    short_s: int
    factor: Fraction


BURN_RULES: Final = (
    BurnRule(HOUR_S, 300, Fraction(144, 10)),
    BurnRule(6 * HOUR_S, 1800, Fraction(6)),
    BurnRule(72 * HOUR_S, 6 * HOUR_S, Fraction(1)),
)


@record(frozen=True, slots=True)
class Burn:
    """One rule, looked at.

    Attributes:
        rule: which.
        target_ppb: of the objective.
        long: the events of the long window.
        short: those of the short one.
    """

    rule: BurnRule
    target_ppb: int
    long: Counts
    short: Counts

    @property
    def low_traffic(self) -> bool:
        """Whether there were too few events to tell: one bad one more would be a breach."""
        return self.long.counted.total < events_needed(self.rule, self.target_ppb)

    @property
    def burning(self) -> bool:
        """Whether both windows are above the factor; never on low traffic, never for what is left out."""
        return not self.low_traffic and all(self._above(one.counted) for one in (self.long, self.short))

    @property
    def burning_with_everything(self) -> bool:
        """The same if nothing were left out."""
        enough = self.long.everything.total >= events_needed(self.rule, self.target_ppb)
        return enough and all(self._above(one.everything) for one in (self.long, self.short))

    @property
    def rate(self) -> Fraction | None:
        """The long window's rate."""
        return burn_rate(self.long.counted, self.target_ppb)

    @property
    def rate_with_everything(self) -> Fraction | None:
        """The same if nothing were left out."""
        return burn_rate(self.long.everything, self.target_ppb)

    def _above(self, count: Count) -> bool:
        return count.bad * WHOLE_PPB > self.rule.factor * count.total * (WHOLE_PPB - self.target_ppb)


def events_needed(rule: BurnRule, target_ppb: int) -> int:
    """With so many events in the long window a single bad one is no breach."""
    budget_ppb = WHOLE_PPB - target_ppb
    if not budget_ppb:
        return EVENTS_MIN
    return max(EVENTS_MIN, ceil(WHOLE_PPB / (rule.factor * budget_ppb)))


def burns(target_ppb: int, window_s: int, now_s: int, counts: Callable[[int, int], Counts]) -> tuple[Burn, ...]:
    """Every rule whose long window is no longer than the objective's.

    Args:
        target_ppb: of the objective.
        window_s: of the agreement.
        now_s: the end of the windows.
        counts: the events between two moments.
    """
    return tuple(
        Burn(rule, target_ppb, counts(now_s - rule.long_s, now_s), counts(now_s - rule.short_s, now_s))
        for rule in BURN_RULES
        if rule.long_s <= window_s
    )


@record(frozen=True, slots=True)
class BudgetEnd:
    """When a budget ends if it is spent on as it is.

    Attributes:
        at_s: the moment; now where it has ended.
        rate: at which it is spent.
        over_s: the window from which the rate is.
    """

    at_s: int
    rate: Fraction
    over_s: int


def budget_end(budget: ErrorBudget, seen: tuple[Burn, ...], window_s: int, now_s: int) -> BudgetEnd | None:
    """Straight on from the shortest of the long windows that has enough events.

    It leaves out that what was spent a window ago comes back, so it is early rather than late. None where the budget
    outlasts the window at this rate, and where there are too few events to tell.
    """
    told = next((one for one in seen if not one.low_traffic), None)
    if told is None or told.rate is None or budget.left is None:
        return None
    if budget.left <= 0:
        return BudgetEnd(now_s, told.rate, told.rule.long_s)
    if not told.rate:
        return None
    left_s = int(budget.left * window_s / told.rate)
    return BudgetEnd(now_s + left_s, told.rate, told.rule.long_s) if left_s <= window_s else None
