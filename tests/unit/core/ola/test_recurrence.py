from __future__ import annotations

from datetime import datetime, timedelta
from itertools import islice

import pytest
from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.ola.recurrence import RULE_START, endless_gap, parse_rule

START = datetime.fromisoformat(RULE_START)
RULES = st.builds(
    lambda frequency, interval, more: ";".join([f"FREQ={frequency}", f"INTERVAL={interval}", *more]),
    st.sampled_from(["DAILY", "WEEKLY", "MONTHLY", "YEARLY"]),
    st.integers(1, 30),
    st.lists(
        st.sampled_from(
            ["BYDAY=SU", "BYMONTH=2,11", "BYMONTHDAY=1,29", "BYHOUR=2,20", "BYMINUTE=30", "UNTIL=20300101T000000"]
        ),
        unique=True,
        max_size=3,
    ),
).filter(lambda text: "BYMONTHDAY" not in text or "MONTHLY" in text or "YEARLY" in text)


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
    ("text", "hours", "gap"),
    [
        ("FREQ=DAILY", 24, timedelta(days=1)),
        ("FREQ=DAILY", 23, None),
        ("FREQ=DAILY;BYHOUR=2,20", 18, timedelta(hours=18)),
        ("FREQ=DAILY;BYHOUR=2,20", 17, None),
        ("FREQ=MONTHLY;BYMONTHDAY=1", 31 * 24, timedelta(days=31)),
        ("FREQ=WEEKLY;BYDAY=SA,SU", 24, None),
        ("FREQ=DAILY;COUNT=3", 24, None),
        ("FREQ=DAILY;COUNT=1", 24, None),
    ],
)
def test_a_rule_is_endless_if_there_is_never_a_pause(text: str, hours: int, gap: timedelta | None) -> None:
    assert endless_gap(text, START, timedelta(hours=hours)) == gap


def test_the_day_of_until_belongs_to_the_rule() -> None:
    text = "FREQ=DAILY;BYHOUR=2;UNTIL=20240103"
    assert [when.day for when in parse_rule(text, START)] == [1, 2, 3]
    assert [when.day for when in parse_rule(text + "T000000", START)] == [1, 2]


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
        *(
            "FREQ=WEEKLY;BYDAY=2MO",
            "FREQ=DAILY;BYDAY=-1FR",
            "FREQ=WEEKLY;BYMONTHDAY=3",
            "FREQ=DAILY;BYMONTHDAY=29;BYMONTH=2;BYDAY=MO",
            "FREQ=DAILY;COUNT=3;UNTIL=20290101",
            "FREQ=DAILY;COUNT=10001",
            "FREQ=DAILY;BYHOUR=1,2,3,4,5;BYMINUTE=0,10,20,30,40",
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
