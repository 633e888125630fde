"""Cells to values: days, instants, words, sets, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest

from weftmesh.core.board.model import DueAt, DueDate, FieldValue, Priority, Status
from weftmesh.core.exchange.boardcsv import board_mapping
from weftmesh.core.exchange.jira import jira_mapping
from weftmesh.core.exchange.mapping import ColumnMapping, csv_mapping
from weftmesh.core.exchange.problems import CellError
from weftmesh.core.exchange.values import parse

HELSINKI = replace(
    csv_mapping(),
    zone=ZoneInfo("Europe/Helsinki"),
    zone_name="Europe/Helsinki",
    time_formats=("%d.%m.%Y %H:%M", "%d.%m.%Y"),
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-21", DueDate("2026-11-21")),
        ("21.11.2026", DueDate("2026-11-21")),
        ("20261121", DueDate("2026-11-21")),
        ("2026-07-01 09", DueAt(1_782_885_600_000, "Europe/Helsinki")),
        ("2026-07-01 09:00", DueAt(1_782_885_600_000, "Europe/Helsinki")),
        ("01.07.2026 09:00", DueAt(1_782_885_600_000, "Europe/Helsinki")),
        ("2026-07-01T06:00:00Z", DueAt(1_782_885_600_000, "Europe/Helsinki")),
        ("2026-07-01T02:00:00-04:00[America/New_York]", DueAt(1_782_885_600_000, "America/New_York")),
        # Clocks went from 4:00 back to 3:00 that night: the earlier of the two.
        ("2026-10-25 03:30", DueAt(1_792_888_200_000, "Europe/Helsinki")),
    ],
)
def test_a_day_stays_a_day_and_an_instant_has_its_zone(text: str, expected: FieldValue) -> None:
    assert parse("due", [text], HELSINKI) == expected


@pytest.mark.parametrize("text", ["21/Nov/26 12:00 AM", "21/Nov/26", "2026-11-21 00:00:00", "2026-11-21"])
@pytest.mark.parametrize("zone", ["Pacific/Auckland", "America/Los_Angeles"])
def test_a_due_day_of_jira_never_shifts(text: str, zone: str) -> None:
    mapping = replace(jira_mapping(), zone=ZoneInfo(zone), zone_name=zone)

    assert parse("due", [text], mapping) == DueDate("2026-11-21")


def test_times_of_the_tracker_become_utc() -> None:
    mapping = replace(jira_mapping(), zone=ZoneInfo("Europe/Helsinki"))

    assert parse("custom.created", ["21/Nov/26 01:30 AM"], mapping) == "2026-11-20T23:30:00Z"
    assert parse("custom.created", ["2026-07-01 12:00:00"], mapping) == "2026-07-01T09:00:00Z"
    assert parse("custom.created", ["2026-07-01T12:00:00+01:00"], mapping) == "2026-07-01T11:00:00Z"


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("status", "Closed", Status.DONE),
        ("status", "Accepted", Status.DONE),
        ("status", "  IN  review ", Status.DOING),
        ("status", "Impeded", Status.BLOCKED),
        ("status", "Reopened", Status.TODO),
        ("status", "Won\N{RIGHT SINGLE QUOTATION MARK}t Fix", Status.CANCELLED),
        ("priority", "Blocker", Priority.URGENT),
        ("priority", "Trivial", Priority.LOW),
        ("estimate", " 2.5 ", 2.5),
        ("title", "  Ship it ", "Ship it"),
        ("description", " as it is\r\n", " as it is\r\n"),
        ("assignee", "ann", "ann"),
    ],
)
def test_words_and_numbers(path: str, text: str, expected: FieldValue) -> None:
    assert parse(path, [text], jira_mapping()) == expected


@pytest.mark.parametrize(
    ("texts", "mapping", "expected"),
    [
        (["radio", "bug", "radio"], jira_mapping(), {"radio", "bug"}),
        (["radio bug"], jira_mapping(), {"radio", "bug"}),
        (["needs work; bug"], csv_mapping(), {"needs work", "bug"}),
        (['["a;b", "c"]'], board_mapping(), {"a;b", "c"}),
        (["[1, 2]"], csv_mapping(), {"[1, 2]"}),
    ],
)
def test_labels_from_several_columns_or_one(texts: list[str], mapping: ColumnMapping, expected: set[str]) -> None:
    assert parse("labels", texts, mapping) == frozenset(expected)


@pytest.mark.parametrize(
    ("path", "text", "words"),
    [
        ("status", "Frobnicated", "unknown status"),
        ("priority", "P1", "unknown priority"),
        ("estimate", "3,5", "not a number"),
        ("estimate", "nan", "finite"),
        ("estimate", "-1", "from 0 on"),
        ("due", "next week", "not a time"),
        ("due", "2026-02-30", "not a time"),
        ("custom.created", "0001-01-01T00:00:00+14:00", "outside the years"),
        ("title", "x" * 501, "501 characters, the limit is 500"),
        ("title", "two\nlines", "line break"),
        ("description", "ä" * 32_769, "65,538 bytes, the limit is 65,536"),
        ("custom.x", "x" * 4_001, "4,001 characters"),
        ("labels", " ".join(f"l{n}" for n in range(65)), "65 labels"),
        ("assignee", "a" * 201, "201 characters"),
    ],
)
def test_what_a_field_cannot_hold_is_said_and_not_cut(path: str, text: str, words: str) -> None:
    with pytest.raises(CellError) as caught:
        parse(path, [text], jira_mapping())
    assert words in str(caught.value)
    assert caught.value.fix


def test_an_empty_cell_is_the_blank_value() -> None:
    blanks = {path: parse(path, [], csv_mapping()) for path in ("title", "status", "estimate", "labels", "custom.x")}

    assert blanks == {"title": "", "status": Status.TODO, "estimate": None, "labels": frozenset(), "custom.x": None}
