"""When an exclusion happens: once, or by a rule, in bounded time.

A local time that the clock leaves out is read with the offset from before the change, and of one that it shows twice
the first counts (RFC 5545, section 3.3.5). A duration is elapsed time.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import dropwhile, takewhile

from dateutil.rrule import rrule

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.ola.calendar_hours import DAY_S, time_zone
from weftmesh.core.ola.calendar_spans import Span, joined
from weftmesh.core.ola.model import Exclusion
from weftmesh.core.ola.recurrence import parse_rule, rule_parts


def excluded_spans(exclusion: Exclusion, start_s: int, end_s: int) -> tuple[Span, ...]:
    """When the exclusion holds between two moments.

    Raises:
        InvalidInputError: its time, time zone or rule cannot be read.
    """
    zone = time_zone(exclusion.timezone)
    first = _local_time(exclusion.starts_at)
    # a day more on either side, since local time is not the same as UTC
    since = datetime.fromtimestamp(start_s - exclusion.duration_s - DAY_S, UTC).replace(tzinfo=None)
    until = datetime.fromtimestamp(end_s + DAY_S, UTC).replace(tzinfo=None)
    beginnings = _beginnings(exclusion.rrule, first, since, until) if exclusion.rrule else iter([first])
    spans = []
    for local in beginnings:
        begin_s = int(local.replace(tzinfo=zone).timestamp())
        spans.append(Span(begin_s, begin_s + exclusion.duration_s).within(start_s, end_s))
    return joined(spans)


def _local_time(text: str) -> datetime:
    try:
        local = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInputError(f"{text!r} is no time: use one such as 2026-12-24T18:00:00", reason="TIME") from error
    if local.tzinfo is not None:
        raise InvalidInputError(f"{text!r} has an offset: write local time and the time zone beside it", reason="TIME")
    return local


def _beginnings(text: str, first: datetime, since: datetime, until: datetime) -> Iterator[datetime]:
    """Of a rule, from about one moment to another; whatever the rule, those of a few years at most are looked at."""
    parts, rule = rule_parts(text), _parsed(text, first)
    start = first if "COUNT" in parts or since <= first else _nearer(parts, first, since)
    times = rule if start == first else rule.replace(dtstart=start)
    return dropwhile(lambda when: when < since, takewhile(lambda when: when < until, times))


def _nearer(parts: dict[str, str], first: datetime, since: datetime) -> datetime:
    """A start, not after `since`, from which the rule happens at the same times, so that those before need no look."""
    interval = int(parts.get("INTERVAL", "1"))
    before = since - timedelta(days=1)
    months = (before.year - first.year) * 12 + before.month - first.month
    years = (before.year - first.year) // interval * interval
    match parts["FREQ"]:
        case "DAILY" | "WEEKLY":
            period = timedelta(days=interval * (7 if parts["FREQ"] == "WEEKLY" else 1))
            return first + (since - first) // period * period
        case "MONTHLY" if months >= interval:
            later = first.year * 12 + first.month - 1 + months // interval * interval
            return first.replace(year=later // 12, month=later % 12 + 1, day=1)
        case "YEARLY" if years:
            return first.replace(year=first.year + years, month=1, day=1)
        case _:
            return first


@lru_cache(maxsize=1024)
def _parsed(text: str, first: datetime) -> rrule:
    return parse_rule(text, first)
