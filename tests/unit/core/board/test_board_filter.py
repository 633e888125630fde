"""The filter language: what each term means, and where an error is."""

from __future__ import annotations

import pytest
from tests.unit.core.board.writer import Writer

from weftmesh.core.board.filter import parse_filter
from weftmesh.core.board.model import DueAt, DueDate, Limits, Priority, Status, Task
from weftmesh.core.errors import InvalidInputError

DAY_MS = 86_400_000


def some_task() -> Task:
    return Writer().create(
        "Fix the Pump",
        description="It leaks at the Flange",
        status=Status.DOING,
        assignee="ann",
        priority=Priority.HIGH,
        labels=frozenset({"bug", "hardware"}),
        estimate=3,
        due=DueDate("2026-11-21"),
        custom_team="red",
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "status=doing",
        "status=DOING AND assignee=ann",
        "status=open label=bug",
        "-status=done",
        "status!=done",
        "priority>=high priority<urgent priority!=low priority=high",
        'assignee="ann"',
        "text:pump",
        'text:"PUMP flange"',
        "text:PROJ-1",
        "text:hardware",
        "has:estimate has:due has:labels has:custom.team",
        "-has:parent -has:conflicts",
        "estimate>2.5 estimate<=3",
        "due<2026-12-01 due>2026-11-20 due=2026-11-21",
        "due<=today -due<today",
        "conflicts=false",
        "custom.team=red custom.team!=blue",
        'origin=""',
    ],
)
def test_terms_that_match(text: str) -> None:
    assert parse_filter(text, today="2026-11-21")(some_task())


@pytest.mark.parametrize(
    "text",
    [
        "status=done",
        "status!=open",
        "-status=open",
        "assignee=bob",
        "label=feature",
        "label!=bug",
        "priority<high",
        'text:"pump valve"',
        "has:parent",
        "estimate>3",
        "due<2026-11-21",
        "conflicts=true",
        "custom.team=blue",
        "custom.other=red",
        "status=doing AND assignee=bob",
    ],
)
def test_terms_that_do_not_match(text: str) -> None:
    assert not parse_filter(text)(some_task())


def test_an_instant_counts_as_its_day_in_utc() -> None:
    task = Writer().create(due=DueAt(20_000 * DAY_MS - 1, "Europe/Helsinki"))
    assert parse_filter("due=2024-10-03")(task)
    assert not parse_filter("due=2024-10-04")(task)


def test_a_task_without_a_value_is_on_no_side_of_a_comparison() -> None:
    task = Writer().create()
    assert not any(parse_filter(text)(task) for text in ("due<2026-01-01", "due>=2026-01-01", "estimate<=3"))


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("colour=red", 1, "no field 'colour'"),
        ("status=doing colour=red", 14, "no field 'colour'"),
        ("status", 7, "expected ="),
        ("status=", 8, "expected a value"),
        ("status=later", 8, "no status"),
        ("status<done", 7, "use = or !="),
        ("priority=extreme", 10, "no priority"),
        ('text:"open', 6, "close them"),
        ("text=words", 5, "takes a colon"),
        ("has:colour", 5, "cannot be asked"),
        ("estimate>much", 10, "not a number"),
        ("due<tomorrow", 5, "not a day"),
        ("due<2026-02-30", 5, "not a day"),
        ("due<today", 5, "not a day"),
        ("conflicts=maybe", 11, "neither true nor false"),
        ("status=done AND", 16, "after AND"),
        ("- status=done", 2, "expected a field"),
        ('assignee="a"label=b', 13, "space between"),
        ("=done", 1, "expected a field"),
        ("OR", 1, "expected a field"),
    ],
)
def test_an_error_points_at_its_column(text: str, column: int, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words) as caught:
        parse_filter(text)
    assert caught.value.metadata == {"column": str(column)}
    assert f"column {column}" in str(caught.value)


def test_filters_have_limits() -> None:
    with pytest.raises(InvalidInputError, match="longer than"):
        parse_filter("x" * (Limits.FILTER_CHARACTERS + 1))
    with pytest.raises(InvalidInputError, match="terms"):
        parse_filter("label=a " * (Limits.FILTER_TERMS + 1))
    assert parse_filter("-label=a " * Limits.FILTER_TERMS)(some_task())


def test_quoted_values_know_escapes() -> None:
    task = Writer().create(assignee='a "b" \\c')
    assert parse_filter(r'assignee="a \"b\" \\c"')(task)
