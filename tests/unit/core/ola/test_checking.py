"""What an agreement says about itself; files that are wrong in these ways are in tests/unit/runtime/ola_files/bad."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weftmesh.core.ola.checking import check_agreement
from weftmesh.core.ola.model import (
    Agreement,
    Dependency,
    Endpoint,
    Exclusion,
    Hours,
    OpenHours,
    OpenTask,
    PacketLoss,
    Probe,
    ProbeKind,
    RaiseClass,
    ResponseTime,
    RouteSettings,
    ServiceClass,
    Throughput,
    Uptime,
)
from weftmesh.core.ola.problems import ENDPOINTS_MAX, Path

GOOD = Agreement("api", "team-a", "team-b", "api", (Uptime(999_000_000),), 28 * 86_400)


def paths(agreement: Agreement) -> list[Path]:
    problems = check_agreement(agreement)
    assert all(problem.message and problem.fix for problem in problems)
    return [problem.path for problem in problems]


def test_a_good_one_has_no_problem() -> None:
    assert not check_agreement(GOOD)


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        (replace(GOOD, name="Not a name"), ("metadata", "name")),
        (replace(GOOD, service=""), ("service",)),
        (replace(GOOD, provider="two\nlines"), ("provider",)),
        (replace(GOOD, window_s=-1), ("window",)),
        (replace(GOOD, objectives=(Uptime(10**30),)), ("objectives", "uptime")),
        (replace(GOOD, objectives=(ResponseTime(1, 0),)), ("objectives", "responseTime", 0, "threshold")),
        (replace(GOOD, objectives=(PacketLoss(-1),)), ("objectives", "packetLoss")),
        (replace(GOOD, objectives=(Throughput(1, 0, 1),)), ("objectives", "throughput", "atLeast")),
        (replace(GOOD, probes=(Probe(ProbeKind.TCP, 0, 100),)), ("probes", 0, "every")),
        (replace(GOOD, endpoints=(Endpoint("a", "a:1", 0),)), ("endpoints", 0, "capacity")),
        (replace(GOOD, endpoints=(Endpoint("a", "a:1"),) * (ENDPOINTS_MAX + 1)), ("endpoints",)),
        (replace(GOOD, depends_on=(Dependency(()),)), ("dependsOn", 0, "anyOf")),
        (replace(GOOD, depends_on=(Dependency(("x",), cached_ppb=10**9),)), ("dependsOn", 0, "cached", "hitRatio")),
        (replace(GOOD, route=RouteSettings(ejected_percent_max=101)), ("route", "maxEjectionPercent")),
        (replace(GOOD, hours=Hours("UTC", (OpenHours((7,), 0, 1),))), ("hours", "weekly", 0, "days")),
        (replace(GOOD, exclusions=(Exclusion("", "2027-01-01T00:00:00", 60),)), ("exclusions", 0, "reason")),
        (replace(GOOD, on_breach=(OpenTask("OPS", ""),)), ("onBreach", 0, "openTask", "title")),
        (replace(GOOD, labels=(("team", "x" * 10**6),)), ("metadata", "labels", "team")),
        (replace(GOOD, labels=(("team", "a"), ("team", "b"))), ("metadata", "labels")),
        (
            replace(GOOD, exclusions=(Exclusion("r", "2027-01-01T00:00:00", 60, "x" * 999),)),
            ("exclusions", 0, "timezone"),
        ),
    ],
)
def test_what_is_out_of_bounds_is_named(wrong: Agreement, path: Path) -> None:
    assert path in paths(wrong)


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        (replace(GOOD, hours=Hours("Europe/Atlantis")), ("hours", "timezone")),
        (replace(GOOD, hours=Hours("../../etc/passwd")), ("hours", "timezone")),
        (replace(GOOD, review="2027-02-30"), ("review",)),
        (replace(GOOD, exclusions=(Exclusion("r", "1999-01-01T00:00:00", 60),)), ("exclusions", 0, "from")),
        (replace(GOOD, exclusions=(Exclusion("r", "soon", 60),)), ("exclusions", 0, "from")),
        (replace(GOOD, objectives=()), ("objectives",)),
        (replace(GOOD, objectives=(Uptime(0),)), ("objectives", "uptime")),
        (
            replace(GOOD, objectives=(PacketLoss(10**9),), probes=(Probe(ProbeKind.ICMP, 1000, 300),)),
            ("objectives", "packetLoss"),
        ),
        (replace(GOOD, on_breach=(RaiseClass(ServiceClass.BATCH),)), ("onBreach", 0, "raiseClass")),
    ],
)
def test_what_makes_no_sense_is_named(wrong: Agreement, path: Path) -> None:
    assert paths(wrong) == [path]


def test_percentiles_are_compared_with_every_stricter_one() -> None:
    times = (ResponseTime(500_000_000, 70_000), ResponseTime(900_000_000, 80_000), ResponseTime(990_000_000, 60_000))
    assert paths(replace(GOOD, objectives=times)) == [
        ("objectives", "responseTime", 0, "threshold"),
        ("objectives", "responseTime", 1, "threshold"),
    ]


def test_a_weekend_and_what_ends_by_itself_are_no_endless_exclusions() -> None:
    weekend = Exclusion("closed", "2024-01-01T00:00:00", 86_400, rrule="FREQ=WEEKLY;BYDAY=SA,SU")
    assert not check_agreement(replace(GOOD, exclusions=(weekend, replace(weekend, rrule="FREQ=DAILY;COUNT=3"))))


@pytest.mark.parametrize(
    "rule", ["FREQ=DAILY;BYHOUR=1,2;BYMINUTE=" + ",".join(map(str, range(13))), "FREQ=WEEKLY;BYDAY=2MO"]
)
def test_a_rule_that_happens_too_often_or_means_something_else_is_a_problem(rule: str) -> None:
    often = Exclusion("all the time", "2031-01-01T00:00:00", 60, rrule=rule)
    assert paths(replace(GOOD, exclusions=(often,))) == [("exclusions", 0, "rrule")]


def test_an_exclusion_may_last_until_the_next_begins_but_for_a_moment() -> None:
    nightly = Exclusion("r", "2024-01-01T00:00:00", 86_340, "UTC", "FREQ=DAILY")
    assert not check_agreement(replace(GOOD, exclusions=(nightly,)))
    assert paths(replace(GOOD, exclusions=(replace(nightly, duration_s=86_400),))) == [("exclusions", 0, "duration")]


@settings(deadline=None)
@given(st.text(max_size=30), st.integers(), st.text(max_size=30))
def test_whatever_is_sent_is_judged(text: str, number: int, other: str) -> None:
    strange = Agreement(
        text,
        other,
        text,
        other,
        (Uptime(number), ResponseTime(number, number), PacketLoss(number), Throughput(number, number, number)),
        number,
        hours=Hours(text, (OpenHours((number % 7,), number % 1441, 1440),)),
        probes=(Probe(ProbeKind.HTTP, number, number, text),),
        endpoints=(Endpoint(text, other, number, text, other),),
        depends_on=(Dependency((text, other), cached_ppb=number),),
        exclusions=(Exclusion(text, other, number, text, other),),
        review=text,
    )
    assert check_agreement(strange)
    assert isinstance(check_agreement(replace(GOOD, hours=Hours(text), review=other)), tuple)
    assert isinstance(check_agreement(replace(GOOD, exclusions=(Exclusion("r", text, 60, other, other),))), tuple)
