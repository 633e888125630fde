"""Values of agreements as their files write them: 99.95 %, 28d, 60ms, 07:00."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Final

from weftmesh.core.ola.model import WHOLE_PPB

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_US_UNITS: Final = ((3_600_000_000, "h"), (60_000_000, "m"), (1_000_000, "s"), (1000, "ms"), (1, "us"))
_S_UNITS: Final = ((86_400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def percent(share_ppb: int) -> str:
    """All its digits and no more: 99.95 %."""
    return f"{number(share_ppb)} %"


def number(share_ppb: int) -> str:
    """The percent without its sign: 99.95."""
    text = format(Decimal(share_ppb).scaleb(-7), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def percent_below(share: Fraction, digits: int = 2) -> str:
    """Cut, not rounded, so that it is never above the share: of 0.998399, 99.83 %."""
    cut = share.numerator * 100 * 10**digits // share.denominator
    return percent(cut * (WHOLE_PPB // 100) // 10**digits)


def percent_digits(share_ppb: int) -> int:
    """How many digits the percent has after its point."""
    return len(number(share_ppb).partition(".")[2])


def seconds(span_s: int) -> str:
    """In the largest unit that needs no fraction: 28d, 90m."""
    return _whole(span_s, _S_UNITS)


def microseconds(span_us: int) -> str:
    """In the largest unit that needs no fraction: 60ms, 1500us."""
    return _whole(span_us, _US_UNITS)


def clock(minute: int) -> str:
    """A minute of the day: 07:00; the end of the day is 24:00."""
    return f"{minute // 60:02d}:{minute % 60:02d}"


def _whole(value: int, units: tuple[tuple[int, str], ...]) -> str:
    if not value:
        return f"0{units[-1][1]}"
    size, name = next((size, name) for size, name in units if value % size == 0)
    return f"{value // size}{name}"
