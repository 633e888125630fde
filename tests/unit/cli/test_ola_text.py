"""Numbers of agreements as people read them: never better than they are."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from tests.unit.core.ola.agreements import agreement, hours, ppb, utc

from weftmesh.cli.ola_text import (
    affected_line,
    end_line,
    event_line,
    exclusion_line,
    left_out_lines,
    share,
    stale_line,
    status_row,
)
from weftmesh.client.ola_status import Held, Judged, judged
from weftmesh.core.errors import InvalidInputError
from weftmesh.core.ola.calendar import Calendar
from weftmesh.core.ola.model import Exclusion, Uptime
from weftmesh.core.ola.plan import Affected
from weftmesh.core.ola.replicated.outcomes import OlaEvent, Verb
from weftmesh.core.ola.replicated.rows import AddedExclusion, Generation, Standing
from weftmesh.ola.v1 import ola_pb2

NOW_S = utc(2026, 4, 6, 12)
STORM = Exclusion("storm", "2026-04-01T00:00:00", 8 * 86_400, "Europe/Berlin", author="ann")


def doing(target: str, good: int, total: int, *added: Exclusion, counted_s: int = 86_400) -> Judged:
    agreed = agreement("web", objectives=(Uptime(ppb(target)),))
    exclusions = tuple(AddedExclusion("web", number, one, 1) for number, one in enumerate(added))
    held = Held(Generation("web", 1, agreed, "ann", 1, 1), Standing("web", 1, 1), exclusions, ())
    history = ola_pb2.History(newest_s=NOW_S - 300)
    history.objectives.add(objective="uptime").parts.add(starts_s=NOW_S - counted_s, part_s=300, good=good, total=total)
    return judged(held, history, NOW_S)


def row_and_reason(target: str, good: int, total: int, *added: Exclusion) -> tuple[list[str], str]:
    found = doing(target, good, total, *added)
    return status_row(found, found.status.objectives[0]), found.status.objectives[0].reason


def test_what_misses_its_target_by_little_does_not_look_as_if_it_met_it() -> None:
    row, reason = row_and_reason("99.9999", 9_999_980, 10_000_000)
    assert (row[2], row[3], row[4]) == ("99.9999 %", "missed", "99.9998 %")
    assert row_and_reason("99.99", 999_899, 1_000_000)[0][3:5] == ["missed", "99.989 %"]
    assert reason == "20 of 10000000 events were bad, 10 may be"


def test_so_many_as_may_be_bad_are_whole_events() -> None:
    assert row_and_reason("99.9", 1_957, 1_959)[1] == "2 of 1959 events were bad, 1 may be"


def test_a_budget_that_is_nearly_spent_is_not_said_to_be_spent() -> None:
    row, reason = row_and_reason("99", 9_900_001, 10_000_000)
    assert (row[3], row[5]) == ("met", "0 %")
    assert reason.endswith("99.9 % of the error budget is spent")


def test_what_is_left_out_is_not_said_never_to_have_been_counted() -> None:
    row, reason = row_and_reason("99", 90, 100, STORM)
    assert (row[3], row[6], reason) == ("no data", "-900 %", "all 100 events are left out")
    assert row_and_reason("99", 0, 0)[1] == "nothing was counted over the window"


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (Fraction(1), "100 %"), (Fraction(99_999, 100_000), "99.99 %"), (Fraction(-1, 3), "-33.34 %")],
)
def test_shares_are_cut(value: Fraction | None, text: str) -> None:
    assert share(value) == text


def test_closed_hours_do_not_hide_exclusions() -> None:
    calendar = Calendar(hours(7, 19), [STORM])
    told = list(left_out_lines(calendar.left_out(NOW_S - 14 * 86_400, NOW_S), 10))
    assert told == [
        "not counted: 215.0 h outside its hours",
        "not counted: 2026-03-31 22:00Z to 2026-04-06 12:00Z, storm",
    ]


def test_an_exclusion_has_its_time_zone_and_its_author() -> None:
    assert exclusion_line(3, STORM) == "exclusion 3: storm: 2026-04-01T00:00:00 Europe/Berlin for 8d, by ann"


def test_numbers_of_before_are_not_taken_for_those_of_now() -> None:
    found = doing("99", 100, 100)
    assert stale_line(found) == ""
    found.history.newest_s = NOW_S - 3_600
    assert stale_line(found) == "no node has counted anything since 2026-04-06 11:05Z: the numbers are of before"
    found.history.newest_s = 0
    assert stale_line(found) == "no node has counted anything yet"


def test_the_end_of_a_budget_is_told_while_it_is_to_come() -> None:
    (burning,) = doing("99", 9_910, 10_000, counted_s=300).status.objectives
    assert end_line(burning) == "  at 0.9x over 1h the budget ends at 2026-04-09 14:40Z"
    (missed,) = doing("99", 0, 10_000, counted_s=300).status.objectives
    (well,) = doing("99", 10_000, 10_000, counted_s=300).status.objectives
    assert end_line(missed) == end_line(well) == ""


def test_an_agreement_that_cannot_be_judged_is_named() -> None:
    """Two machines may have different tables of time zones."""
    with pytest.raises(InvalidInputError, match="agreement web cannot be judged here: 'Mars/Olympus' is no time zone"):
        doing("99", 1, 1, replace(STORM, timezone="Mars/Olympus"))


def test_an_event_says_when_what_who_and_why() -> None:
    event = OlaEvent(7, Verb.CLASS_RAISED, "web", 2, "normal to critical: burns", "ann@n1", NOW_S * 1_000 << 16)
    assert event_line(event).endswith(" class raised generation 2 by ann@n1: normal to critical: burns")


def test_what_agreements_can_count_on() -> None:
    text = "  web needs it (web > db): the most that its dependencies give is "
    half = Fraction(1, 2)
    assert affected_line(Affected("web", ("web", "db"), half, half)) == f"{text}50 % as now"
    assert affected_line(Affected("web", ("web", "db"), half, None)) == f"{text}unknown, now 50 %"
