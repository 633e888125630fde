"""Short ways to write agreements."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from weftmesh.core.ola.model import Agreement, Dependency, Hours, OpenHours, ResponseTime, Uptime

WORKDAYS = (0, 1, 2, 3, 4)


def ppb(percent: str) -> int:
    return int(Decimal(percent).scaleb(7))


def agreement(name: str, uptime: str = "", *depends_on: Dependency, **more: object) -> Agreement:
    objectives = (Uptime(ppb(uptime)),) if uptime else ()
    made = {"service": name, "objectives": objectives, "window_s": 28 * 86_400, "depends_on": depends_on} | more
    return Agreement(name, "team-a", "team-b", **made)  # type: ignore[arg-type]


def hard(*any_of: str, cached: str = "0") -> Dependency:
    return Dependency(any_of, cached_ppb=ppb(cached))


def soft(name: str) -> Dependency:
    return Dependency((name,), hard=False)


def p99(threshold_ms: int) -> ResponseTime:
    return ResponseTime(ppb("99"), threshold_ms * 1000)


def hours(begin: int, end: int, days: tuple[int, ...] = WORKDAYS, timezone: str = "Europe/Berlin") -> Hours:
    """From one hour of the day to another."""
    return Hours(timezone, (OpenHours(days, begin * 60, end * 60),))


def utc(*moment: int) -> int:
    return int(datetime(*moment, tzinfo=UTC).timestamp())  # type: ignore[arg-type, misc]
