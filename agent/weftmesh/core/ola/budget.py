"""How much of an objective's error budget is spent (Beyer et al., The Site Reliability Workbook, 2018, chapter 2)."""

from __future__ import annotations

from fractions import Fraction

from weftmesh.core.ola.model import WHOLE_PPB
from weftmesh.core.records import record


@record(frozen=True, slots=True)
class Count:
    """Events, and how many of them were good."""

    good: int = 0
    total: int = 0

    @property
    def bad(self) -> int:
        """Those that were not."""
        return self.total - self.good


@record(frozen=True, slots=True)
class Counts:
    """Events with and without what the calendar leaves out."""

    everything: Count = Count()
    counted: Count = Count()
    """Within the hours and outside the exclusions; never more than everything."""


@record(frozen=True, slots=True)
class ErrorBudget:
    """What an objective allows over its window, and what is left of that.

    Attributes:
        count: the window's events so far.
        target_ppb: so many have to be good.
    """

    count: Count
    target_ppb: int

    @property
    def attained(self) -> Fraction | None:
        """The share of good events; None without events."""
        return Fraction(self.count.good, self.count.total) if self.count.total else None

    @property
    def allowed_bad(self) -> Fraction:
        """So many of the events may be bad."""
        return Fraction(self.count.total * (WHOLE_PPB - self.target_ppb), WHOLE_PPB)

    @property
    def left(self) -> Fraction | None:
        """The share that is not spent: 1 of a budget nobody touched, below 0 where it is overspent.

        None without events, and where nothing may be bad and something is.
        """
        if not self.count.total:
            return None
        if not self.allowed_bad:
            return None if self.count.bad else Fraction(1)
        return 1 - self.count.bad / self.allowed_bad

    @property
    def met(self) -> bool:
        """Whether the objective is met as yet; without events it is."""
        return self.count.bad <= self.allowed_bad


def burn_rate(count: Count, target_ppb: int) -> Fraction | None:
    """How many times faster than allowed the budget is spent: 1 spends all of it over the window.

    None without events, and where nothing may be bad and something is.
    """
    left = ErrorBudget(count, target_ppb).left
    return None if left is None else 1 - left
