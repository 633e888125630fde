"""Hours that never open, exclusions that never end, and times that no calendar has."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.ola.model import Agreement, Exclusion, Hours
from weftmesh.core.ola.problems import Path, Problem
from weftmesh.core.ola.recurrence import START_YEARS, endless_gap

_ZONE: Final = re.compile(r"[A-Za-z0-9_+-]{1,32}(/[A-Za-z0-9_+-]{1,32}){0,2}")
_LOCAL_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d")


def time_problems(agreement: Agreement) -> Iterator[Problem]:
    """What is wrong with hours, exclusions and the day of review."""
    yield from _hours(agreement.hours)
    for index, exclusion in enumerate(agreement.exclusions):
        yield from _exclusion(("exclusions", index), exclusion)
    if agreement.review and not is_date(agreement.review):
        yield Problem(("review",), f"{agreement.review!r} is no day", "write it as in 2027-03-01")


def is_time_zone(name: str) -> bool:
    """Whether this machine's copy of the IANA database has it."""
    if not _ZONE.fullmatch(name):
        return False
    try:
        ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        return False
    return True


def similar_time_zone(name: str) -> str:
    """The name that was meant, or a common one."""
    zones = {zone.lower(): zone for zone in sorted(available_timezones())}
    last_parts = {zone.lower().rpartition("/")[2]: zone for zone in sorted(available_timezones())}
    asked = name.lower().replace(" ", "_")
    if asked in last_parts:
        return last_parts[asked]
    close = difflib.get_close_matches(asked, zones, n=1)
    return zones[close[0]] if close else "UTC"


def is_date(text: str) -> bool:
    """Whether it is a day, as in 2027-03-01."""
    return _DATE.fullmatch(text) is not None and _parsed(text) is not None


def is_local_time(text: str) -> bool:
    """Whether it is a time without a zone, as in 2026-11-22T02:00:00."""
    return _LOCAL_TIME.fullmatch(text) is not None and _parsed(text) is not None


def _parsed(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _hours(hours: Hours) -> Iterator[Problem]:
    yield from _zone(("hours", "timezone"), hours.timezone)
    for index, one in enumerate(hours.weekly):
        at: Path = ("hours", "weekly", index)
        if not one.days:
            yield Problem((*at, "days"), "no day is named: this never opens", "days: [mon, tue, wed, thu, fri]")
        if len(set(one.days)) < len(one.days):
            yield Problem((*at, "days"), "a day is named twice", "name each day once")
        if one.to_minute <= one.from_minute:
            yield Problem(
                (*at, "to"),
                "this ends before it begins, so it never opens",
                'hours over midnight are two entries: to "24:00", and from "00:00" of the next day',
            )


def _exclusion(at: Path, exclusion: Exclusion) -> Iterator[Problem]:
    yield from _zone((*at, "timezone"), exclusion.timezone)
    starts_at = _parsed(exclusion.starts_at) if is_local_time(exclusion.starts_at) else None
    if starts_at is None or starts_at.year not in START_YEARS:
        yield Problem(
            (*at, "from"),
            f"{exclusion.starts_at!r} is no local time of the years {START_YEARS[0]} to {START_YEARS[-1]}",
            'write it as in from: "2026-12-24T18:00"',
        )
    elif exclusion.rrule:
        yield from _rule((*at, "rrule"), exclusion, starts_at)


def _rule(at: Path, exclusion: Exclusion, starts_at: datetime) -> Iterator[Problem]:
    duration = timedelta(seconds=exclusion.duration_s)
    try:
        gap = endless_gap(exclusion.rrule, starts_at, duration)
    except InvalidInputError as error:
        yield Problem(at, str(error), "write a rule of RFC 5545, such as FREQ=WEEKLY;BYDAY=SU;BYHOUR=2")
        return
    if gap is not None:
        yield Problem(
            (*at[:-1], "duration"),
            f"it begins every {_text(gap)} and lasts {_text(duration)}: it never ends",
            "make it shorter, or the rule rarer",
        )


def _zone(at: Path, name: str) -> Iterator[Problem]:
    if not is_time_zone(name):
        yield Problem(at, f"{name!r} is no time zone", f"did you mean {similar_time_zone(name)}?")


def _text(span: timedelta) -> str:
    hours = span.total_seconds() / 3600
    return f"{hours:g} h" if hours < 48 else f"{hours / 24:g} days"
