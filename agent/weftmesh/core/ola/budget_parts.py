"""Counts of an objective over time, with and without what its calendar leaves out.

History is in parts: of five minutes, later of hours and of days. A part of up to an hour counts if all of it counts, so
that work during a planned outage that begins within a part does not spoil the numbers. Of a longer one the share
counts that its time has, as if its events were spread evenly: hours or exclusions would leave nothing of it otherwise.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from math import ceil
from typing import Final, Protocol

from weftmesh.core.ola.budget import Count, Counts
from weftmesh.core.ola.calendar_spans import Span

WHOLE_OR_NOT_S: Final = 3600


class Part(Protocol):
    """What all nodes counted in one part of time."""

    @property
    def starts_s(self) -> int:
        """Unix seconds."""

    @property
    def part_s(self) -> int:
        """Its length, in seconds."""

    @property
    def good(self) -> int:
        """Events that were good."""

    @property
    def total(self) -> int:
        """All events."""


class Timeline:
    """Parts in order of time, ready to be added up between any two moments.

    Args:
        parts: without overlaps, in any order.
        counting: what counts of the time of all parts, as `Calendar.counted` has it. Objectives of an agreement share
            it: to work it out costs more than all the rest.
    """

    def __init__(self, parts: Iterable[Part], counting: Sequence[Span]) -> None:
        ordered = sorted(parts, key=lambda one: one.starts_s)
        self._starts = [one.starts_s for one in ordered]
        self._sums = [(0, 0, 0, 0, 0)]
        """Before each part and after the last one: seconds, good and all events, and of those that count the same."""
        for one, counted in zip(ordered, _counted(ordered, counting), strict=True):
            seconds, good, total, counted_good, counted_total = self._sums[-1]
            self._sums.append(
                (
                    seconds + one.part_s,
                    good + one.good,
                    total + one.total,
                    counted_good + counted.good,
                    counted_total + counted.total,
                )
            )

    def counts(self, start_s: int, end_s: int) -> Counts:
        """Events of the parts that begin at the one moment or later, and before the other."""
        _, good, total, counted_good, counted_total = self._between(start_s, end_s)
        return Counts(Count(good, total), Count(counted_good, counted_total))

    def measured_s(self, start_s: int, end_s: int) -> int:
        """How long these parts are together."""
        return self._between(start_s, end_s)[0]

    def _between(self, start_s: int, end_s: int) -> tuple[int, ...]:
        before, after = (self._sums[bisect_left(self._starts, at_s)] for at_s in (start_s, max(start_s, end_s)))
        return tuple(late - early for early, late in zip(before, after, strict=True))


def _counted(parts: Iterable[Part], spans: Sequence[Span]) -> Iterator[Count]:
    """What counts of each part."""
    first = 0
    for part in parts:
        while first < len(spans) and spans[first].end_s <= part.starts_s:
            first += 1
        yield _share(part, _overlap_s(part, spans, first))


def _overlap_s(part: Part, spans: Sequence[Span], first: int) -> int:
    ends_s = part.starts_s + part.part_s
    length_s = 0
    while first < len(spans) and spans[first].start_s < ends_s:
        length_s += spans[first].within(part.starts_s, ends_s).length_s
        first += 1
    return length_s


def _share(part: Part, counted_s: int) -> Count:
    if counted_s == part.part_s:
        return Count(part.good, part.total)
    if part.part_s <= WHOLE_OR_NOT_S:
        return Count()
    good = part.good * counted_s // part.part_s
    bad = ceil(Fraction((part.total - part.good) * counted_s, part.part_s))
    return Count(good, good + bad)
