"""What counts: the hours of an agreement without its exclusions, with the reason for all that does not."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.ola.calendar_exclusions import excluded_spans
from weftmesh.core.ola.calendar_hours import DAY_S, open_spans
from weftmesh.core.ola.calendar_spans import Span, without
from weftmesh.core.ola.model import Exclusion, Hours
from weftmesh.core.records import record

SPAN_DAYS_MAX: Final = 400
OUTSIDE_HOURS: Final = "outside its hours"


@record(frozen=True, slots=True)
class LeftOut:
    """A time that does not count."""

    span: Span
    reason: str
    """Of the exclusion, or that it is outside the hours."""


class Calendar:
    """Tells which time counts for an agreement. It remembers nothing but its rules.

    Args:
        hours: when the agreement holds.
        exclusions: what is left out; also those that were added later, by whoever may.

    Every method raises InvalidInputError for a time zone, a time or a rule that cannot be read, for a rule that happens
    too often, and for more than 400 days at once.
    """

    def __init__(self, hours: Hours, exclusions: Iterable[Exclusion] = ()) -> None:
        self._hours = hours
        self._exclusions = tuple(exclusions)

    def counted(self, start_s: int, end_s: int) -> tuple[Span, ...]:
        """What counts between two moments of Unix time: in order, without overlaps."""
        _check(start_s, end_s)
        out = [span for one in self._exclusions for span in excluded_spans(one, start_s, end_s)]
        return without(open_spans(self._hours, start_s, end_s), out)

    def left_out(self, start_s: int, end_s: int) -> tuple[LeftOut, ...]:
        """What does not count; where several reasons hold at once, each has its own span."""
        _check(start_s, end_s)
        closed = without([Span(start_s, end_s)], open_spans(self._hours, start_s, end_s))
        found = [LeftOut(span, OUTSIDE_HOURS) for span in closed]
        for one in self._exclusions:
            found += [LeftOut(span, one.reason) for span in excluded_spans(one, start_s, end_s)]
        return tuple(sorted(found, key=lambda one: (one.span.start_s, one.span.end_s, one.reason)))

    def why_left_out(self, at_s: int) -> tuple[str, ...]:
        """Why the second does not count; empty if it does."""
        return tuple(dict.fromkeys(one.reason for one in self.left_out(at_s, at_s + 1)))


def _check(start_s: int, end_s: int) -> None:
    if not 0 <= end_s - start_s <= SPAN_DAYS_MAX * DAY_S:
        raise InvalidInputError(
            f"from {start_s} to {end_s} is not between 0 and {SPAN_DAYS_MAX} days: ask for less at once",
            reason="SPAN_TOO_LONG",
        )
