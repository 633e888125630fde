from __future__ import annotations

from datetime import datetime, timedelta
from itertools import islice

import pytest
from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.ola.recurrence import RULE_START, parse_rule, shortest_gap

START = datetime.fromisoformat(RULE_START)
RULES = st.builds(
    lambda frequency, interval, more: ";".join([f"FREQ={frequency}", f"INTERVAL={interval}", *more]),
    st.sampled_from(["DAILY", "WEEKLY", "MONTHLY", "YEARLY"]),
    st.integers(1, 30),
    st.lists(
        st.sampled_from(
            ["BYDAY=SU", "BYMONTH=2,11", "BYMONTHDAY=1,29", "BYHOUR=2,20", "BYMINUTE=30", "UNTIL=20300101"]
        ),
        unique=True,
        max_size=3,
    ),
)


@settings(deadline=None, max_examples=50)
@given(RULES, st.datetimes(datetime(2020, 1, 1), datetime(2029, 1, 1)).map(lambda when: when.replace(microsecond=0)))
def test_a_rule_happens_here_when_it_happens_there(text: str, starts_at: datetime) -> None:
    expected = next(iter(rrulestr(text, dtstart=starts_at)), None)
    if expected is None:
        with pytest.raises(InvalidInputError, match="never happens"):
            parse_rule(text, starts_at)
    else:
        assert next(iter(parse_rule(text, starts_at))) == expected


@pytest.mark.parametrize(
    ("text", "gap"),
    [
        ("FREQ=DAILY", timedelta(days=1)),
        ("FREQ=WEEKLY;BYDAY=SA,SU;BYHOUR=2", timedelta(days=1)),
        ("FREQ=DAILY;BYHOUR=2,20", timedelta(hours=6)),
        ("FREQ=MONTHLY;BYMONTHDAY=1", timedelta(days=28)),
        ("FREQ=DAILY;COUNT=1", None),
        ("FREQ=DAILY;UNTIL=20240101T120000", None),
    ],
)
def test_the_shortest_time_between_two(text: str, gap: timedelta | None) -> None:
    assert shortest_gap(text, START) == gap


@pytest.mark.parametrize(
    "text",
    [
        *("", "FREQ=HOURLY", "FREQ=SECONDLY", "BYDAY=SU", "FREQ=DAILY;FREQ=DAILY", "FREQ=DAILY;INTERVAL=0"),
        *(
            "FREQ=DAILY;INTERVAL=999",
            "FREQ=DAILY;BYSETPOS=1",
            "FREQ=DAILY;UNTIL=20271301",
            "FREQ=DAILY;UNTIL=20270101T000000Z",
        ),
        *(
            "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
            "FREQ=DAILY;INTERVAL=7;BYDAY=TU",
            "FREQ=DAILY;UNTIL=20231231",
            "X" * 500,
        ),
        *("FREQ=DAILY\nDTSTART:20200101", "FREQ=DAILY;BYHOUR=24", "FREQ=WEEKLY;BYDAY=XX"),
    ],
)
def test_what_is_no_rule_says_so(text: str) -> None:
    with pytest.raises(InvalidInputError):
        parse_rule(text, START)


def test_a_rule_begins_in_these_centuries() -> None:
    with pytest.raises(InvalidInputError, match="2000 to 2199"):
        parse_rule("FREQ=DAILY", datetime(1999, 1, 1))


def test_a_rare_day_is_found() -> None:
    rule = parse_rule("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO", START)
    assert [when.year for when in islice(rule, 2)] == [2044, 2072]
