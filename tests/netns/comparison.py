"""What the mesh says was counted beside what the wire's log says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from rich.table import Table
from tests.netns.recomputation import Count

DEVIATION_MAX: Final = 0.01
"""Of good shares, of bad shares and of totals: a hundredth of what the log says."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One objective in one window.

    Attributes:
        window: in words.
        agreement: its name.
        objective: its key.
        measured: what the mesh says.
        logged: what the log says.
        edge: whether a few microseconds decide on many of its events.
        windows: how many ends of windows there are within it, its own one included.
    """

    window: str
    agreement: str
    objective: str
    measured: Count
    logged: Count
    edge: bool = False
    windows: int = 1

    @property
    def deviation(self) -> float:
        """The largest one of the number of events, of good ones and of bad ones, as a part of what the log says.

        One event may be in the next window, since two clocks are read at a window's end: it is not counted.
        """
        pairs = ((one(self.measured), one(self.logged)) for one in (_total, _good, _bad))
        return max(max(0, abs(measured - logged) - self.windows) / max(1, logged) for measured, logged in pairs)

    @property
    def kept(self) -> bool:
        """Whether both say the same, and something at all."""
        return self.logged.total > 0 and (self.edge or self.deviation <= DEVIATION_MAX)


def table(rows: Iterable[Compared]) -> Table:
    """For people."""
    found = Table(
        "window", "agreement", "objective", "measured good/total", "%", "log good/total", "%", "deviation", ""
    )
    for one in rows:
        shares = [f"{100 * count.good / max(1, count.total):.3f}" for count in (one.measured, one.logged)]
        counts = [f"{count.good}/{count.total}" for count in (one.measured, one.logged)]
        outcome = "at the edge" if one.edge else "" if one.kept else "too far off"
        cells = (counts[0], shares[0], counts[1], shares[1], f"{100 * one.deviation:.2f} %", outcome)
        found.add_row(one.window, one.agreement, one.objective, *cells)
    return found


def _total(count: Count) -> int:
    return count.total


def _good(count: Count) -> int:
    return count.good


def _bad(count: Count) -> int:
    return count.bad
