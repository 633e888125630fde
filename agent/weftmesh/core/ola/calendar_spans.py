"""Spans of time and what is left when some are taken out."""

from __future__ import annotations

from collections.abc import Iterable

from weftmesh.core.records import record


@record(frozen=True, slots=True)
class Span:
    """From a second of Unix time to another, which is not in it."""

    start_s: int
    end_s: int

    @property
    def length_s(self) -> int:
        """How long it is."""
        return self.end_s - self.start_s

    def within(self, start_s: int, end_s: int) -> Span:
        """What of it lies between two moments; of no length if nothing does."""
        start = min(max(self.start_s, start_s), end_s)
        return Span(start, max(start, min(self.end_s, end_s)))


def joined(spans: Iterable[Span]) -> tuple[Span, ...]:
    """In order, without overlaps, those that touch as one."""
    found: list[Span] = []
    for one in sorted((one for one in spans if one.length_s > 0), key=lambda one: (one.start_s, one.end_s)):
        if found and one.start_s <= found[-1].end_s:
            found[-1] = Span(found[-1].start_s, max(found[-1].end_s, one.end_s))
        else:
            found.append(one)
    return tuple(found)


def without(spans: Iterable[Span], taken: Iterable[Span]) -> tuple[Span, ...]:
    """What is in the one and not in the other."""
    out = joined(taken)
    found: list[Span] = []
    first = 0
    for one in joined(spans):
        while first < len(out) and out[first].end_s <= one.start_s:
            first += 1
        start, at = one.start_s, first
        while at < len(out) and out[at].start_s < one.end_s:
            if out[at].start_s > start:
                found.append(Span(start, out[at].start_s))
            start = max(start, out[at].end_s)
            at += 1
        if start < one.end_s:
            found.append(Span(start, one.end_s))
    return tuple(found)
