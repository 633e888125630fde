"""Rules for what happens again and again: RFC 5545, section 3.3.10, as far as an exclusion needs it.

Times are local to the exclusion's time zone and have none themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import chain, islice, pairwise
from math import prod
from typing import Final

from dateutil.rrule import rrule, rrulestr

from weftmesh.core.errors import InvalidInputError

RULE_START: Final = "2024-01-01T00:00:00"
"""From when a rule holds that does not say it: a Monday, so that BYHOUR is on the hour."""
RULE_CHARACTERS_MAX: Final = 200
INTERVAL_MAX: Final = 366
COUNT_MAX: Final = 10_000
DAILY_MAX: Final = 24
"""So often a rule may begin on one day: whoever needs more of them needs a longer duration."""
START_YEARS: Final = range(2000, 2200)
_FREQUENCIES: Final = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")
_DAY: Final = r"(MO|TU|WE|TH|FR|SA|SU)"
_PARTS: Final[Mapping[str, re.Pattern[str]]] = {
    "FREQ": re.compile("|".join(_FREQUENCIES)),
    "INTERVAL": re.compile(r"[1-9][0-9]{0,2}"),
    "COUNT": re.compile(r"[1-9][0-9]{0,4}"),
    "UNTIL": re.compile(r"[0-9]{8}(T[0-9]{6})?"),
    "BYDAY": re.compile(rf"([+-]?[1-5])?{_DAY}(,([+-]?[1-5])?{_DAY})*"),
    "BYMONTH": re.compile(r"(1[0-2]|[1-9])(,(1[0-2]|[1-9]))*"),
    "BYMONTHDAY": re.compile(r"-?(3[01]|[12][0-9]|[1-9])(,-?(3[01]|[12][0-9]|[1-9]))*"),
    "BYHOUR": re.compile(r"(2[0-3]|1?[0-9])(,(2[0-3]|1?[0-9]))*"),
    "BYMINUTE": re.compile(r"[1-5]?[0-9](,[1-5]?[0-9])*"),
    "WKST": re.compile(_DAY),
}
_SHIFT_YEARS: Final = 7600
"""The calendar repeats every 400 years, and the library looks for the next time until the year 9999 if there is none.
A rule is tried where that end is near."""
_TRIED_MAX: Final = 200
"""So many occurrences without a pause in between are endless: half a year of days, or eight days of hours."""


def parse_rule(text: str, starts_at: datetime) -> rrule:
    """A rule that holds from a local time.

    Raises:
        InvalidInputError: it is none, it asks for more than is read here, or it never happens.
    """
    return _parsed(text, starts_at)[0]


@lru_cache(maxsize=4_096)
def endless_gap(text: str, starts_at: datetime, duration: timedelta) -> timedelta | None:
    """The longest time between two beginnings in a row, if there is never a pause after the duration; else None.

    Raises:
        InvalidInputError: as of `parse_rule`.
    """
    _, tried = _parsed(text, starts_at)
    gaps = []
    for earlier, later in pairwise(islice(tried, _TRIED_MAX)):
        if later - earlier > duration:
            return None
        gaps.append(later - earlier)
    return max(gaps) if len(gaps) == _TRIED_MAX - 1 else None


def _parsed(text: str, starts_at: datetime) -> tuple[rrule, Iterator[datetime]]:
    """The rule, and when it happens in another age: its first time can take milliseconds to find, so that is done once.

    Raises:
        InvalidInputError: as of `parse_rule`.
    """
    parts = rule_parts(text)
    if starts_at.year not in START_YEARS:
        raise InvalidInputError(
            f"it begins in {starts_at.year}: use {START_YEARS[0]} to {START_YEARS[-1]}", reason="RULE_INVALID"
        )
    tried = _tried(parts, starts_at)
    if (first := next(tried, None)) is None:
        raise InvalidInputError(f"{text!r} never happens", reason="RULE_NEVER")
    try:
        return _rule(parts, starts_at), chain([first], tried)
    except ValueError as error:
        raise InvalidInputError(f"{text!r} is no rule: {error}", reason="RULE_INVALID") from error


def rule_parts(text: str) -> dict[str, str]:
    """A rule's parts by name, in its order.

    Raises:
        InvalidInputError: a part is unknown, is there twice or has a value that it cannot have.
    """
    if len(text) > RULE_CHARACTERS_MAX:
        raise InvalidInputError(
            f"the rule has {len(text)} characters: at most {RULE_CHARACTERS_MAX} are read", reason="RULE_INVALID"
        )
    parts: dict[str, str] = {}
    for part in text.removesuffix(";").split(";"):
        name, _, value = part.partition("=")
        if name not in _PARTS:
            raise InvalidInputError(f"{part!r} is not read here: use {', '.join(_PARTS)}", reason="RULE_INVALID")
        if name in parts or not _PARTS[name].fullmatch(value):
            raise InvalidInputError(_wrong_part(name, value, again=name in parts), reason="RULE_INVALID")
        parts[name] = value
    if "FREQ" not in parts:
        raise InvalidInputError(f"{text!r} does not say how often: begin with FREQ=WEEKLY", reason="RULE_INVALID")
    contradiction = next(_contradictions(parts), None)
    if contradiction is not None:
        raise InvalidInputError(contradiction, reason="RULE_INVALID")
    return parts


def _contradictions(parts: Mapping[str, str]) -> Iterator[str]:
    """What good parts do not mean together (RFC 5545, section 3.3.10), or ask for too much of."""
    for name, most in (("INTERVAL", INTERVAL_MAX), ("COUNT", COUNT_MAX)):
        if int(parts.get(name, "1")) > most:
            yield f"{name}={parts[name]} is above {most}"
    if "COUNT" in parts and "UNTIL" in parts:
        yield "COUNT and UNTIL both say when it ends: keep one"
    if parts["FREQ"] in ("DAILY", "WEEKLY") and re.search("[0-9]", parts.get("BYDAY", "")):
        yield f"BYDAY={parts['BYDAY']} counts days of a month or a year: use FREQ=MONTHLY, or leave the number out"
    if parts["FREQ"] in ("DAILY", "WEEKLY") and "BYMONTHDAY" in parts:
        # the RFC lets it thin out days; the same is read much sooner as a rule of months
        yield f"BYMONTHDAY does not go with FREQ={parts['FREQ']} here: use FREQ=MONTHLY"
    times = [len(set(map(int, parts.get(name, "0").split(",")))) for name in ("BYHOUR", "BYMINUTE")]
    if prod(times) > DAILY_MAX:
        yield f"it begins {prod(times)} times a day, at most {DAILY_MAX} are read: use a longer duration"


def _wrong_part(name: str, value: str, *, again: bool) -> str:
    if again:
        return f"{name} is there twice"
    hint = {
        "FREQ": f": use {', '.join(_FREQUENCIES)}, and BYHOUR=8,20 for several times a day",
        "UNTIL": ": write 20271231T235959, a local time without Z",
    }
    return f"{name}={value} cannot be read" + hint.get(name, "")


def _rule(parts: Mapping[str, str], starts_at: datetime) -> rrule:
    parts = {**parts, **_day_of(parts, starts_at)}
    if "UNTIL" in parts:
        parts["UNTIL"] = _last_moment(parts["UNTIL"])
    made = rrulestr(";".join(f"{name}={value}" for name, value in parts.items()), dtstart=starts_at)
    assert isinstance(made, rrule)  # noqa: S101, one rule makes no set of rules
    return made


def _tried(parts: Mapping[str, str], starts_at: datetime) -> Iterator[datetime]:
    """When a rule happens, in another age of the same calendar; found, or found missing, in bounded time."""
    if not _a_month_has_the_day(parts):
        return
    shifted = starts_at.replace(year=starts_at.year + _SHIFT_YEARS)
    rule = {name: value for name, value in parts.items() if name != "UNTIL"}
    last = _last_moment(parts.get("UNTIL", "99991231"))
    for when in _rule(rule, shifted):
        if f"{when.year - _SHIFT_YEARS:04d}{when:%m%dT%H%M%S}" > last:
            return
        yield when


def _day_of(parts: Mapping[str, str], starts_at: datetime) -> dict[str, str]:
    """The day of a rule of months or years that names none, written out: it is that of its start, wherever it is read
    from.
    """
    if parts["FREQ"] not in ("MONTHLY", "YEARLY") or "BYDAY" in parts or "BYMONTHDAY" in parts:
        return {}
    month = {} if parts["FREQ"] == "MONTHLY" or "BYMONTH" in parts else {"BYMONTH": str(starts_at.month)}
    return {**month, "BYMONTHDAY": str(starts_at.day)}


def _last_moment(until: str) -> str:
    """Of a day without a time, all of it belongs to the rule."""
    return until if "T" in until else f"{until}T235959"


def _a_month_has_the_day(parts: Mapping[str, str]) -> bool:
    """Whether any of the months has any of the days; to look for the 30th of February takes long."""
    if "BYMONTH" not in parts or "BYMONTHDAY" not in parts:
        return True
    longest = {2: 29, 4: 30, 6: 30, 9: 30, 11: 30}
    most = max(longest.get(int(month), 31) for month in parts["BYMONTH"].split(","))
    return min(abs(int(day)) for day in parts["BYMONTHDAY"].split(",")) <= most
