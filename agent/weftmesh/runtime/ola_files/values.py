"""Single values of an agreement's file: what each becomes, and what to write instead of a bad one."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Final

from pydantic_core import PydanticCustomError

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.ola import problems as limits
from weftmesh.core.ola.model import WHOLE_PPB
from weftmesh.core.ola.time_problems import is_date, is_local_time, is_time_zone, similar_time_zone
from weftmesh.runtime.addresses import split_address

_UNITS_US: Final = {
    "us": 1,
    "ms": 1000,
    "s": 1_000_000,
    "m": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
    "w": 604_800_000_000,
}
_DURATION: Final = re.compile(r"([0-9]{1,12})(us|ms|[smhdw])")
_CLOCK: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])|24:00")
_LOCAL: Final = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2})(:[0-9]{2})?")
_PPB_A_PERCENT: Final = WHOLE_PPB // 100
_SHOWN_CHARACTERS: Final = 60


def refused(message: str, fix: str) -> PydanticCustomError:
    """What a validator raises: both halves reach the person."""
    return PydanticCustomError("refused", "{message}", {"message": message, "fix": fix})


def shown(value: object) -> str:
    """A value as a message repeats it."""
    match value:
        case bool():
            return str(value).lower()
        case None:
            return "nothing"
        case str():
            return f"'{value[:_SHOWN_CHARACTERS]}'" + ("…" if len(value) > _SHOWN_CHARACTERS else "")
        case int() | Decimal():
            return str(value)
        case list():
            return "a list"
        case _:
            return "a mapping"


def one_of(words: Mapping[str, object]) -> Callable[[object], object]:
    """A validator that takes one of some words, and suggests the nearest."""

    def parse(value: object) -> object:
        if isinstance(value, str) and value in words:
            return words[value]
        asked = value.lower() if isinstance(value, str) else str(value)
        close = difflib.get_close_matches(asked, words, n=1)
        fix = f"did you mean {close[0]}?" if close else f"use {' or '.join(words)}"
        raise refused(f"{shown(value)} is none of {', '.join(words)}" if len(words) > 1 else _not_it(value), fix)

    return parse


def _not_it(value: object) -> str:
    return f"{shown(value)} is not what is read here"


def parse_name(value: object) -> str:
    """The name of something: a DNS label."""
    if isinstance(value, str) and limits.NAME.fullmatch(value):
        return value
    fitting = re.sub(r"[^a-z0-9-]+", "-", str(value).lower()).strip("-")[:63].strip("-")
    good = isinstance(value, str | int) and not isinstance(value, bool) and fitting
    example = f'"{fitting}"' if fitting.isdigit() else fitting
    raise refused(
        f"{shown(value)} is not a valid name", f"use {limits.NAME_ALLOWED}" + (f": {example}" if good else "")
    )


def parse_text(value: object) -> str:
    """A line of text."""
    if isinstance(value, str):
        if value.strip() and len(value) <= limits.TEXT_CHARACTERS_MAX and value.isprintable():
            return value
        fix = f"use 1 to {limits.TEXT_CHARACTERS_MAX} characters on one line"
        raise refused("this is empty, too long or not one line", fix)
    fix = "write text" if isinstance(value, list | dict | None) else f'put it in quotes: "{shown(value)}"'
    raise refused(f"{shown(value)} is not text", fix)


def percent(*, suspicious: bool) -> Callable[[object], int]:
    """A validator of a share in percent, as parts per billion; up to 1 may be suspicious: a ratio was meant."""

    def parse(value: object) -> int:
        if isinstance(value, str) and re.fullmatch(r"[0-9.]+ ?%", value):
            raise refused(f"{shown(value)} is text", f"leave the sign out: {value.rstrip('% ')}")
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise refused(f"{shown(value)} is no percentage", "write a number from 0 to 100, such as 99.9")
        if not 0 <= value <= 100:
            raise refused(f"{shown(value)} is no percentage", "write a number from 0 to 100")
        if suspicious and value <= 1:
            meant = f": {(Decimal(value) * 100).normalize():f}" if 0 < value < 1 else ""
            raise refused(f"{shown(value)} percent is hardly meant", f"write percent, not a ratio{meant}")
        ppb = Fraction(value) * _PPB_A_PERCENT  # a Decimal would be rounded to 28 digits
        if ppb.denominator != 1:
            raise refused(f"{shown(value)} is finer than can be told", "write at most 7 digits behind the point")
        return ppb.numerator

    return parse


def duration(unit: str, allowed: range, example: str) -> Callable[[object], int]:
    """A validator of a span of time, counted in a unit."""

    def parse(value: object) -> int:
        match = _DURATION.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            raise refused(f"{shown(value)} is no span of time", _duration_fix(value, example))
        count, rest = divmod(int(match[1]) * _UNITS_US[match[2]], _UNITS_US[unit])
        if rest or count not in allowed:
            least, most = span_text(allowed[0], unit), span_text(allowed[-1], unit)
            raise refused(f"{shown(value)} is out of bounds", f"use {least} to {most}, in whole {unit}")
        return count

    return parse


def _duration_fix(value: object, example: str) -> str:
    units = ", ".join(_UNITS_US)
    if isinstance(value, int) and not isinstance(value, bool):
        return f"add a unit ({units}), such as {value}{example.lstrip('0123456789')}"
    return f"write a whole number and a unit ({units}), such as {example}"


def span_text(count: int, unit: str) -> str:
    """A span in the largest unit that holds it without a rest."""
    span_us = count * _UNITS_US[unit]
    best = max(
        (name for name in _UNITS_US if name != "w" and span_us % _UNITS_US[name] == 0), key=_UNITS_US.__getitem__
    )
    return f"{span_us // _UNITS_US[best]}{best}"


def count(allowed: range) -> Callable[[object], int]:
    """A validator of a whole number."""

    def parse(value: object) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and value in allowed:
            return value
        raise refused(f"{shown(value)} is not such a number", f"write a whole one from {allowed[0]} to {allowed[-1]}")

    return parse


def parse_flag(value: object) -> bool:
    """True or false."""
    if isinstance(value, bool):
        return value
    raise refused(f"{shown(value)} is neither true nor false", "write true or false, without quotes")


def parse_clock(value: object) -> int:
    """A time of day, as the minute of the day."""
    if isinstance(value, str) and _CLOCK.fullmatch(value):
        return int(value[:2]) * 60 + int(value[3:])
    raise refused(f"{shown(value)} is no time of day", 'write hours and minutes, in quotes: "07:00", at most "24:00"')


def parse_local_time(value: object) -> str:
    """A time without a zone, with seconds."""
    match = _LOCAL.fullmatch(value) if isinstance(value, str) else None
    if match is not None and is_local_time(text := f"{match[1]}T{match[2]}{match[3] or ':00'}"):
        return text
    raise refused(
        f"{shown(value)} is no local time", "write it without a zone, which has a key of its own: 2026-12-24T18:00"
    )


def parse_date(value: object) -> str:
    """A day."""
    if isinstance(value, str) and is_date(value):
        return value
    raise refused(f"{shown(value)} is no day", "write it as in 2027-03-01")


def parse_time_zone(value: object) -> str:
    """A time zone of the IANA database."""
    if isinstance(value, str) and is_time_zone(value):
        return value
    raise refused(
        f"{shown(value)} is no time zone", f"did you mean {similar_time_zone(str(value)[:_SHOWN_CHARACTERS])}?"
    )


def parse_address(value: object) -> str:
    """Host and port."""
    text = value if isinstance(value, str) else ""
    try:
        _, port = split_address(text)
    except InvalidInputError:
        port = 0
    if not port:
        raise refused(f"{shown(value)} is no address", 'write host and port: "10.0.0.11:8443", [..] around IPv6')
    return text
