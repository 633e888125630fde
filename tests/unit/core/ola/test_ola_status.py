"""Status of agreements, against a recomputation from raw events, second by second."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from fractions import Fraction
from time import process_time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.core.ola.agreements import agreement, hours, ppb, utc

from weftmesh.core.ola.budget import Count
from weftmesh.core.ola.budget_parts import Timeline
from weftmesh.core.ola.calendar import Calendar
from weftmesh.core.ola.model import Agreement, Exclusion, Hours, PacketLoss, ResponseTime, Uptime
from weftmesh.core.ola.replicated.history import Chunk, History
from weftmesh.core.ola.replicated.rows import ObjectiveCount
from weftmesh.core.ola.status import Health, agreement_status

DAY_S = 86_400
NOW_S = utc(2026, 4, 6, 12)
WEEKLY_PATCHING = Exclusion("patching", "2024-01-01T00:00:00", 7200, "Europe/Berlin", "FREQ=WEEKLY;BYDAY=SU;BYHOUR=2")


@dataclass(frozen=True)
class Counted:
    """A part of time, as history gives it."""

    starts_s: int
    part_s: int
    good: int
    total: int


def always(parts: Iterable[Counted]) -> Callable[[str, int, int], Iterator[Counted]]:
    kept = list(parts)
    return lambda _key, start_s, end_s: (one for one in kept if start_s <= one.starts_s < end_s)


def steady(days: int, bad: int = 0, total: int = 1000) -> list[Counted]:
    """The same in every five minutes up to now."""
    return [Counted(at_s, 300, total - bad, total) for at_s in range(NOW_S - days * DAY_S, NOW_S, 300)]


def promise(uptime: str = "99.9", **more: object) -> Agreement:
    return agreement("pay", uptime, **{"window_s": 7 * DAY_S} | more)


def test_an_objective_that_nobody_spoils_is_met() -> None:
    status = agreement_status(promise(), always(steady(7)), NOW_S + 299)
    (one,) = status.objectives
    assert (status.at_s, status.health, one.health) == (NOW_S, Health.MET, Health.MET)
    assert one.budget.count == Count(2_016_000, 2_016_000)
    assert (one.measured_s, one.ends) == (7 * DAY_S, None)
    assert one.reason == "0.0 % of the error budget is spent"


def test_an_outage_of_a_quarter_of_an_hour_burns() -> None:
    parts = [*steady(7)[:-3], *(Counted(NOW_S - 900 + at, 300, 800, 1000) for at in (0, 300, 600))]
    (one,) = agreement_status(promise(), always(parts), NOW_S).objectives
    assert one.health is Health.BURNING
    assert one.reason == ("it burns more than 14.4x over 1h and 5m, 50.0x over 1h; 29.7 % of the error budget is spent")
    assert one.ends is not None
    assert one.ends.at_s == NOW_S + int((1 - Fraction(600, 2016)) * 7 * DAY_S / 50)


def test_more_bad_events_than_allowed_miss_the_objective() -> None:
    (one,) = agreement_status(promise(), always(steady(7, bad=2)), NOW_S).objectives
    assert (one.health, one.budget.left) == (Health.MISSED, Fraction(-1))
    assert one.reason == "4032 of 2016000 events were bad, 2016 may be"


def test_few_events_are_told_and_do_not_burn() -> None:
    (one,) = agreement_status(promise(), always([Counted(NOW_S - 300, 300, 8, 8)]), NOW_S).objectives
    assert (one.health, one.measured_s) == (Health.LOW_TRAFFIC, 300)


def test_nothing_counted_is_no_data() -> None:
    assert agreement_status(promise(), always([]), NOW_S).health is Health.NO_DATA


def test_an_agreement_is_as_its_worst_objective() -> None:
    both = replace(promise(), objectives=(Uptime(ppb("99")), PacketLoss(ppb("0.01"))))
    status = agreement_status(both, always(steady(7, bad=1)), NOW_S)
    assert [one.health for one in status.objectives] == [Health.MET, Health.MISSED]
    assert status.health is Health.MISSED


def test_an_exclusion_that_is_added_later_takes_effect_backwards_and_both_numbers_are_shown() -> None:
    outage = [Counted(at_s, 300, 0, 1000) for at_s in range(NOW_S - 2 * DAY_S, NOW_S - 2 * DAY_S + 3600, 300)]
    parts = {one.starts_s: one for one in [*steady(7), *outage]}.values()
    excluded = Exclusion("move", "2026-04-04T12:00:00", 3600)
    (before,) = agreement_status(promise(), always(parts), NOW_S).objectives
    (after,) = agreement_status(promise(), always(parts), NOW_S, [excluded]).objectives
    assert (before.health, after.health) == (Health.MISSED, Health.MET)
    assert after.budget.count.bad == 0
    assert after.budget_with_everything == before.budget


def test_a_part_that_an_exclusion_touches_is_left_out_and_a_day_counts_by_its_share() -> None:
    day_s = NOW_S // DAY_S * DAY_S
    parts = [Counted(day_s, 300, 9, 10), Counted(day_s + 300, 300, 9, 10), Counted(day_s + DAY_S, DAY_S, 89, 100)]
    when = "2026-04-06T00:09:59", "2026-04-07T06:00:00"
    calendar = Calendar(Hours(), [Exclusion("a", when[0], 1), Exclusion("b", when[1], 6 * 3600)])
    timeline = Timeline(parts, calendar.counted(day_s, day_s + 2 * DAY_S))
    assert timeline.counts(day_s, day_s + DAY_S).counted == Count(9, 10)
    assert timeline.counts(day_s + DAY_S, day_s + 2 * DAY_S).counted == Count(66, 75)
    assert timeline.counts(day_s, day_s + 2 * DAY_S).everything == Count(107, 120)
    assert timeline.counts(day_s + DAY_S, day_s).everything == Count()


def test_a_calendar_is_read_once_for_all_objectives_of_an_agreement() -> None:
    """A year of 96 hourly rules takes seconds to read, and an agreement may have 16 objectives."""
    rule = f"FREQ=DAILY;BYHOUR={','.join(map(str, range(24)))};BYMINUTE="
    hourly = [Exclusion("", "2024-01-01T00:00:00", 60, rrule=f"{rule}{minute}") for minute in (7, 23, 41)]
    parts = [Counted(NOW_S - day * DAY_S, 300, 10, 10) for day in (1, 300)]

    def took_s(objectives: int) -> float:
        times = tuple(ResponseTime(ppb("90") + number, 1000) for number in range(objectives))
        one = replace(promise(), objectives=times, window_s=360 * DAY_S, exclusions=tuple(hourly))
        began_s = process_time()
        assert len(agreement_status(one, always(parts), NOW_S).objectives) == objectives
        return process_time() - began_s

    assert min(took_s(16) for _ in range(2)) < 8 * took_s(1)


def events(seed: int, days: int) -> list[tuple[int, bool]]:
    """Moments and whether they were good, with outages; what is true is known by how they are made."""
    drawn = random.Random(seed)
    outages = [
        (at_s, at_s + drawn.randrange(60, 7200)) for at_s in (NOW_S - drawn.randrange(days * DAY_S) for _ in "abcd")
    ]
    moments = sorted(drawn.randrange(NOW_S - days * DAY_S, NOW_S) for _ in range(4000))
    return [(at_s, not any(start <= at_s < end for start, end in outages) or drawn.random() < 0.3) for at_s in moments]


def by_the_wall(at_s: int) -> bool:
    """Weekdays and Sundays from 7 to 19, without Sunday's patching, read from a clock."""
    wall = datetime.fromtimestamp(at_s, ZoneInfo("Europe/Berlin"))
    return wall.weekday() != 5 and 7 <= wall.hour < 19 and not (wall.weekday() == 6 and wall.hour in (10, 11))


@pytest.mark.parametrize("seed", range(3))
def test_status_equals_a_recomputation_from_raw_events_whatever_the_order_and_however_old(seed: int) -> None:
    """40 days at three nodes, with a change of the clock: counts go through the replicated history and its roll-ups."""
    drawn, held = random.Random(seed), hours(7, 19, (0, 1, 2, 3, 4, 6))
    patching = replace(WEEKLY_PATCHING, rrule="FREQ=WEEKLY;BYDAY=SU;BYHOUR=10")
    seen = events(seed, 40)
    sums: dict[tuple[int, str], list[int]] = {}
    for at_s, good in seen:
        count = sums.setdefault((at_s // 300 * 300, drawn.choice("abc")), [0, 0])
        count[0] += good
        count[1] += 1
    windows = list(sums.items())
    drawn.shuffle(windows)
    history = History(_hash)
    for number, ((starts_s, _node), (right, total)) in enumerate(windows):
        history.add(starts_s, (ObjectiveCount("pay", "uptime", right, total),))
        if number % 500 == 0:
            history.age(NOW_S - 300)
    history.age(NOW_S - 300)

    promised = promise(window_s=39 * DAY_S, hours=held, exclusions=(patching,))
    (status,) = agreement_status(promised, lambda *asked: history.parts("pay", *asked), NOW_S).objectives
    within = [(at_s, good) for at_s, good in seen if at_s >= NOW_S - 39 * DAY_S]
    assert status.budget_with_everything.count == _count(within)
    assert status.budget.count == _count([one for one in within if by_the_wall(one[0])])
    for burn in status.burns:
        for counts, span_s in ((burn.long, burn.rule.long_s), (burn.short, burn.rule.short_s)):
            recent = [one for one in within if one[0] >= NOW_S - span_s]
            assert counts.everything == _count(recent)
            assert counts.counted == _count([one for one in recent if by_the_wall(one[0])])


def _count(some: list[tuple[int, bool]]) -> Count:
    return Count(sum(good for _, good in some), len(some))


def _hash(_chunk: Chunk) -> int:
    return 1


@settings(max_examples=30, deadline=None)
@given(
    st.dictionaries(st.integers(0, 600), st.tuples(st.integers(0, 9), st.integers(0, 9))),
    st.integers(0, 600),
    st.integers(0, 600),
)
def test_a_timeline_adds_up_what_begins_between_two_moments(
    drawn: dict[int, tuple[int, int]], first: int, last: int
) -> None:
    parts = [Counted(NOW_S + at * 300, 300, good, good + bad) for at, (good, bad) in drawn.items()]
    calendar = Calendar(hours(7, 19), [WEEKLY_PATCHING])
    timeline = Timeline(parts, calendar.counted(NOW_S, NOW_S + 601 * 300))
    start_s, end_s = NOW_S + first * 300, NOW_S + last * 300
    inside = [one for one in parts if start_s <= one.starts_s < end_s]
    found = timeline.counts(start_s, end_s)
    assert found.everything == Count(sum(one.good for one in inside), sum(one.total for one in inside))
    assert timeline.measured_s(start_s, end_s) == 300 * len(inside)
    told = Counter(dict.fromkeys(("good", "total"), 0))
    for one in inside:
        if not any(calendar.why_left_out(at_s) for at_s in (one.starts_s, one.starts_s + 299)):
            told.update(good=one.good, total=one.total)
    assert found.counted == Count(told["good"], told["total"])
