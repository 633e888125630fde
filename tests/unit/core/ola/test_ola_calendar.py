"""What counts, compared with a clock on the wall that is read second by second, or minute by minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.core.ola.agreements import hours, utc

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.ola.calendar import OUTSIDE_HOURS, Calendar
from weftmesh.core.ola.calendar_exclusions import excluded_spans
from weftmesh.core.ola.calendar_hours import open_spans
from weftmesh.core.ola.calendar_spans import Span, joined, without
from weftmesh.core.ola.model import DAY_MINUTES, Exclusion, Hours, OpenHours

DAY_S = 86_400
ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/St_Johns", "UTC"]
EVERY_DAY = tuple(range(7))


def length_s(spans: tuple[Span, ...]) -> int:
    return sum(one.length_s for one in spans)


def by_the_wall(hours: Hours, at_s: int) -> bool:
    """Whether a clock on the wall shows one of the hours."""
    wall = datetime.fromtimestamp(at_s, ZoneInfo(hours.timezone))
    minute = wall.hour * 60 + wall.minute
    return any(wall.weekday() in one.days and one.from_minute <= minute < one.to_minute for one in hours.weekly)


def test_without_open_hours_an_agreement_holds_always() -> None:
    assert Calendar(Hours()).counted(100, 400) == (Span(100, 400),)


@pytest.mark.parametrize(("day", "length_h"), [((2026, 3, 29), 23), ((2026, 10, 25), 25), ((2026, 6, 1), 24)])
def test_a_day_has_as_many_hours_as_its_clock(day: tuple[int, int, int], length_h: int) -> None:
    found = open_spans(hours(0, 24, EVERY_DAY), utc(*day) - 3 * DAY_S, utc(*day) + 3 * DAY_S)
    assert length_s(found) == 6 * DAY_S, "days that touch are one"
    only = datetime(*day).weekday()
    assert length_s(open_spans(hours(0, 24, (only,)), utc(*day) - 2 * DAY_S, utc(*day) + 2 * DAY_S)) == length_h * 3600


def test_hours_that_the_clock_leaves_out_are_not_there_and_those_shown_twice_are_there_twice() -> None:
    night = hours(2, 3, EVERY_DAY)
    assert open_spans(night, utc(2026, 3, 29), utc(2026, 3, 29, 12)) == ()
    assert open_spans(night, utc(2026, 10, 25), utc(2026, 10, 25, 12)) == (
        Span(utc(2026, 10, 25, 0), utc(2026, 10, 25, 2)),
    )


MINUTES = st.integers(0, DAY_MINUTES)
OPEN_HOURS = st.builds(
    lambda days, pair: OpenHours(tuple(days), min(pair), max(pair)),
    st.sets(st.integers(0, 6), min_size=1),
    st.tuples(MINUTES, MINUTES),
)


@settings(max_examples=30, deadline=None)
@given(
    st.builds(Hours, st.sampled_from(ZONES), st.lists(OPEN_HOURS, min_size=1, max_size=3).map(tuple)),
    st.sampled_from([utc(2026, 3, 8), utc(2026, 3, 29), utc(2026, 4, 5), utc(2026, 10, 25), utc(2026, 11, 1)]),
    st.integers(-DAY_S, DAY_S),
    st.integers(0, 2 * DAY_S),
)
def test_hours_are_what_a_clock_on_the_wall_shows(held: Hours, change_s: int, before_s: int, span_s: int) -> None:
    start_s, end_s = change_s + before_s, change_s + before_s + span_s
    found = open_spans(held, start_s, end_s)
    assert joined(found) == found
    looked_at = {*range(start_s, end_s, 67), *(edge for one in found for edge in (one.start_s, one.end_s - 1))}
    for at_s in looked_at:
        assert by_the_wall(held, at_s) == any(one.start_s <= at_s < one.end_s for one in found)
    for one in found:
        assert one.start_s == start_s or not by_the_wall(held, one.start_s - 1)
        assert one.end_s == end_s or not by_the_wall(held, one.end_s)


def weekly(duration_s: int = 7200, **more: str) -> Exclusion:
    made = {"timezone": "Europe/Berlin", "rrule": "FREQ=WEEKLY;BYDAY=SU;BYHOUR=2"} | more
    return Exclusion("patching", "2024-01-01T00:00:00", duration_s, **made)


def test_an_exclusion_holds_once() -> None:
    once = Exclusion("move", "2026-07-01T22:00:00", 3600, "Europe/Berlin")
    span = Span(utc(2026, 7, 1, 20), utc(2026, 7, 1, 21))
    assert excluded_spans(once, utc(2026, 1, 1), utc(2026, 12, 31)) == (span,)
    assert excluded_spans(once, span.start_s + 60, span.start_s + 120) == (Span(span.start_s + 60, span.start_s + 120),)


def test_an_exclusion_is_at_the_same_local_time_in_summer_and_winter() -> None:
    found = excluded_spans(weekly(), utc(2026, 10, 17), utc(2026, 11, 3))
    assert [datetime.fromtimestamp(one.start_s, UTC).hour for one in found] == [0, 0, 1]
    assert {one.length_s for one in found} == {7200}, "a duration is elapsed time"


def test_an_exclusion_at_a_time_the_clock_leaves_out_moves_by_the_change() -> None:
    (found,) = excluded_spans(weekly(), utc(2026, 3, 28), utc(2026, 3, 30))
    assert found.start_s == utc(2026, 3, 29, 1), "02:00 by the old offset is 03:00 of the new one"


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=DAILY",
        "FREQ=DAILY;INTERVAL=3;BYHOUR=1,13",
        "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,SU;WKST=SU",
        "FREQ=MONTHLY;BYDAY=2TU;BYHOUR=3",
        "FREQ=MONTHLY;INTERVAL=5;BYMONTHDAY=-1",
        "FREQ=MONTHLY;BYMONTHDAY=1;BYHOUR=0",
        "FREQ=MONTHLY",
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29",
        "FREQ=YEARLY;INTERVAL=3;BYDAY=-1FR",
        "FREQ=YEARLY",
        "FREQ=DAILY;COUNT=900",
        "FREQ=WEEKLY;UNTIL=20260301T000000",
    ],
)
@pytest.mark.parametrize("since", [(2024, 2, 29), (2025, 12, 31), (2026, 3, 1), (2031, 1, 1)])
@pytest.mark.parametrize("first", ["2024-02-29T05:30:00", "2023-12-31T23:15:00"])
def test_a_rule_that_is_read_from_the_middle_happens_as_if_read_from_the_start(
    rule: str, since: tuple[int, int, int], first: str
) -> None:
    found = excluded_spans(Exclusion("", first, 600, rrule=rule), utc(*since), utc(*since) + 300 * DAY_S)
    start = datetime(*since)
    every = rrulestr(rule, dtstart=datetime.fromisoformat(first)).between(
        start - timedelta(days=1), start + timedelta(days=301)
    )
    spans = [int(one.replace(tzinfo=UTC).timestamp()) for one in every]
    assert found == joined(Span(at_s, at_s + 600).within(utc(*since), utc(*since) + 300 * DAY_S) for at_s in spans)


HOURLY = f"BYHOUR={','.join(map(str, range(24)))}"


@pytest.mark.parametrize(
    ("rule", "times"),
    [
        (f"FREQ=DAILY;{HOURLY}", 24 * 400),
        (f"FREQ=MONTHLY;{HOURLY}", 24 * 14),
        (f"FREQ=YEARLY;BYMONTH=1;{HOURLY}", 24 * 2),
        (f"FREQ=YEARLY;INTERVAL=2;BYDAY=MO,TU,WE,TH,FR,SA,SU;{HOURLY}", 24 * 365),
        ("FREQ=DAILY;COUNT=10000", 0),
    ],
)
def test_what_is_a_rule_can_be_read_in_any_year(rule: str, times: int) -> None:
    """Otherwise an agreement would be good when it is applied, and its status an error years later."""
    old = Exclusion("", "2000-01-01T00:00:00", 60, rrule=rule)
    assert len(excluded_spans(old, utc(2190, 1, 1), utc(2190, 1, 1) + 400 * DAY_S)) == times


@pytest.mark.parametrize(
    "exclusion",
    [
        Exclusion("", "yesterday", 60),
        Exclusion("", "2026-01-01T00:00:00+01:00", 60),
        Exclusion("", "2026-01-01T00:00:00", 60, "Mars/Olympus"),
        Exclusion("", "2026-01-01T00:00:00", 60, "../../etc/passwd"),
        Exclusion("", "2026-01-01T00:00:00", 60, rrule="FREQ=NEVER"),
        Exclusion("", "2026-01-01T00:00:00", 60, rrule="FREQ=SECONDLY"),
        Exclusion(
            "", "2026-01-01T00:00:00", 60, rrule="FREQ=DAILY;BYHOUR=1,2;BYMINUTE=0,5,10,15,20,25,30,35,40,45,50,55,56"
        ),
    ],
)
def test_what_cannot_be_read_is_refused(exclusion: Exclusion) -> None:
    with pytest.raises(InvalidInputError):
        Calendar(Hours(), [exclusion]).counted(0, 300)


def test_more_than_400_days_at_once_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="400 days"):
        Calendar(Hours()).counted(0, 401 * DAY_S)


def test_what_does_not_count_has_its_reasons() -> None:
    sunday = utc(2026, 7, 5)
    calendar = Calendar(hours(7, 19, EVERY_DAY), [weekly(), weekly(rrule="FREQ=WEEKLY;BYDAY=SU;BYHOUR=12")])
    assert calendar.why_left_out(sunday + 1 * 3600) == (OUTSIDE_HOURS, "patching")
    assert calendar.why_left_out(sunday + 10 * 3600) == ("patching",)
    assert calendar.why_left_out(sunday + 9 * 3600) == ()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 14 * DAY_S), st.integers(0, 2 * DAY_S), st.integers(60, 4 * 3600))
def test_every_second_either_counts_or_has_a_reason(after_s: int, span_s: int, duration_s: int) -> None:
    calendar = Calendar(hours(7, 19, (0, 2, 6)), [weekly(duration_s), weekly(rrule="FREQ=DAILY;BYHOUR=8,20")])
    start_s = utc(2026, 3, 22) + after_s
    end_s = start_s + span_s
    counted, out = calendar.counted(start_s, end_s), [one.span for one in calendar.left_out(start_s, end_s)]
    assert joined([*counted, *out]) == joined([Span(start_s, end_s)])
    assert without(counted, out) == counted
    for at_s in range(start_s, end_s, 7919):
        assert bool(calendar.why_left_out(at_s)) != any(one.start_s <= at_s < one.end_s for one in counted)


SPANS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)).map(lambda pair: Span(min(pair), max(pair))))


@given(SPANS, SPANS)
def test_spans_are_sets_of_seconds(some: list[Span], taken: list[Span]) -> None:
    def seconds(spans: object) -> set[int]:
        return {at_s for one in spans for at_s in range(one.start_s, one.end_s)}  # type: ignore[attr-defined]

    found = without(some, taken)
    assert seconds(found) == seconds(some) - seconds(taken)
    assert joined(found) == found
    assert seconds(joined(some)) == seconds(some)
