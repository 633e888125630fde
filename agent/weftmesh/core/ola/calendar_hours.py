"""When an agreement holds, by the clock on the wall: a day with a change of the clock has 23 or 25 hours.

A moment is within the hours if the local time that clocks show then is. Hours within the hour that a clock shows twice
are there twice, and those within one that it leaves out are not there.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.ola import plan_words as words
from weftmesh.core.ola.calendar_spans import Span, joined, without
from weftmesh.core.ola.model import DAY_MINUTES, Hours
from weftmesh.core.records import record

DAY_S: Final = 86_400
WEEK_S: Final = 7 * DAY_S
_MONDAY_S: Final = 4 * DAY_S
"""The first Monday of Unix time."""
_STEP_S: Final = 6 * 3600
"""No clock is known to change twice within this."""
_REFERENCE: Final = Span(*(int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (2026, 2027)))
"""Hours in different time zones are compared over this year."""


@record(frozen=True, slots=True)
class HoursGap:
    """A time of the week that one agreement's hours have and another's do not."""

    text: str
    """sat 09:00 Europe/Berlin."""


def time_zone(name: str) -> ZoneInfo:
    """A time zone of the IANA database.

    Raises:
        InvalidInputError: this machine's copy does not have it.
    """
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError) as error:
        raise InvalidInputError(
            f"{name!r} is no time zone: use one such as Europe/Berlin", reason="TIME_ZONE"
        ) from error


def open_spans(hours: Hours, start_s: int, end_s: int) -> tuple[Span, ...]:
    """The hours between two moments.

    Raises:
        InvalidInputError: the time zone is unknown.
    """
    if not hours.weekly:
        return joined([Span(start_s, end_s)])
    weekly = _local_week(hours)
    found: list[Span] = []
    for stretch, offset_s in _offsets(time_zone(hours.timezone), start_s, end_s):
        local = Span(stretch.start_s + offset_s, stretch.end_s + offset_s)
        week_s = (local.start_s - _MONDAY_S) // WEEK_S * WEEK_S + _MONDAY_S
        while week_s < local.end_s:
            for one in weekly:
                there = Span(week_s + one.start_s, week_s + one.end_s).within(local.start_s, local.end_s)
                found.append(Span(there.start_s - offset_s, there.end_s - offset_s))
            week_s += WEEK_S
    return joined(found)


@lru_cache(maxsize=4096)
def first_gap(hours: Hours, other: Hours) -> HoursGap | None:
    """The first time of the week, or of the year where time zones differ, that is in the hours and not in the other's.

    Raises:
        InvalidInputError: a time zone is unknown.
    """
    if not other.weekly or hours == other:
        return None
    zone = hours.timezone if hours.weekly else other.timezone
    if zone == other.timezone:
        gaps = without(_local_week(hours), _local_week(other))
        return HoursGap(_week_time(gaps[0].start_s, zone)) if gaps else None
    gaps = without(_reference_spans(hours), _reference_spans(other))
    if not gaps:
        return None
    at = datetime.fromtimestamp(gaps[0].start_s, time_zone(zone))
    return HoursGap(f"{_week_time((at.weekday() * 24 + at.hour) * 3600 + at.minute * 60, zone)} in {at:%B}")


def _local_week(hours: Hours) -> tuple[Span, ...]:
    """From Monday 00:00, in seconds of a week without changes of the clock."""
    if not hours.weekly:
        return (Span(0, WEEK_S),)
    return joined(
        Span((day * DAY_MINUTES + one.from_minute) * 60, (day * DAY_MINUTES + one.to_minute) * 60)
        for one in hours.weekly
        for day in one.days
    )


def _week_time(second: int, zone: str) -> str:
    day, in_day = divmod(second // 60, DAY_MINUTES)
    return f"{words.DAYS[day % 7]} {words.clock(in_day)} {zone}"


@lru_cache(maxsize=256)
def _reference_spans(hours: Hours) -> tuple[Span, ...]:
    return open_spans(hours, _REFERENCE.start_s, _REFERENCE.end_s)


def _offsets(zone: ZoneInfo, start_s: int, end_s: int) -> Iterator[tuple[Span, int]]:
    """Stretches of time over which the clock does not change, each with local time minus UTC, in seconds."""
    begun_s, offset_s, at_s = start_s, _offset_s(zone, start_s), start_s
    while at_s < end_s:
        next_s = min(at_s + _STEP_S, end_s)
        if (changed_s := _offset_s(zone, next_s)) != offset_s:
            change_s = _change_s(zone, at_s, next_s, offset_s)
            yield Span(begun_s, change_s), offset_s
            begun_s, offset_s = change_s, changed_s
        at_s = next_s
    if begun_s < end_s:
        yield Span(begun_s, end_s), offset_s


def _change_s(zone: ZoneInfo, before_s: int, after_s: int, offset_s: int) -> int:
    """The first second with another offset."""
    while after_s - before_s > 1:
        middle_s = (before_s + after_s) // 2
        if _offset_s(zone, middle_s) == offset_s:
            before_s = middle_s
        else:
            after_s = middle_s
    return after_s


def _offset_s(zone: ZoneInfo, at_s: int) -> int:
    offset = datetime.fromtimestamp(at_s, zone).utcoffset()
    return int(offset.total_seconds()) if offset is not None else 0
