"""What a field takes and what it refuses."""

from __future__ import annotations

import pytest
from tests.unit.core.board.writer import Writer, ulid

from weftmesh.core.board.commands import CreateTask
from weftmesh.core.board.model import DueAt, DueDate, FieldValue, Limits, Priority, Status
from weftmesh.core.board.outcomes import OutcomeKind


def many(count: int) -> frozenset[str]:
    return frozenset(f"item {number}" for number in range(count))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("title", ""),
        ("title", "  "),
        ("title", None),
        ("title", 5),
        ("title", "x" * (Limits.TITLE_CHARACTERS + 1)),
        ("title", "two\nlines"),
        ("title", "half \ud83d"),
        ("description", "x" * (Limits.DESCRIPTION_BYTES + 1)),
        ("description", "ä" * (Limits.DESCRIPTION_BYTES // 2 + 1)),
        ("status", 0),
        ("status", 6),
        ("status", None),
        ("status", True),
        ("status", "done"),
        ("priority", 5),
        ("priority", 1.0),
        ("assignee", "x" * (Limits.NAME_CHARACTERS + 1)),
        ("labels", "bug"),
        ("labels", frozenset({""})),
        ("labels", frozenset({"a\tb"})),
        ("labels", many(Limits.SET_ITEMS + 1)),
        ("estimate", -1),
        ("estimate", float("nan")),
        ("estimate", float("inf")),
        ("estimate", 10**400),
        pytest.param("estimate", 10**5_000, id="estimate-huge"),
        ("estimate", "3"),
        ("due", "2026-11-21"),
        ("due", DueDate("20261121")),
        ("due", DueDate("2026-02-30")),
        ("due", DueAt(0, "")),
        ("due", DueAt(10**18, "UTC")),
        ("parent", "PROJ-1"),
        ("depends_on", frozenset({"PROJ-1"})),
        ("custom", "x"),
        ("custom.", "x"),
        ("custom.a\nb", "x"),
        ("custom.k", 5),
        ("custom.k", "x" * (Limits.CUSTOM_VALUE_CHARACTERS + 1)),
        ("colour", "red"),
        ("version", 7),
    ],
)
def test_a_bad_value_is_refused_with_its_place(path: str, value: FieldValue) -> None:
    writer = Writer()
    task = writer.create()
    outcome = writer.update(task, {path: value})
    assert outcome.kind is OutcomeKind.INVALID
    assert path.split("\n")[0] in outcome.message
    outcome.message.encode()
    assert writer.task(task.id) == task


@pytest.mark.parametrize(
    ("path", "value", "stored"),
    [
        ("title", "x" * Limits.TITLE_CHARACTERS, "x" * Limits.TITLE_CHARACTERS),
        ("description", "lines\n\tand tabs\r\n", "lines\n\tand tabs\r\n"),
        ("status", 2, Status.DOING),
        ("priority", 4, Priority.URGENT),
        ("priority", None, Priority.NONE),
        ("assignee", None, ""),
        ("labels", None, frozenset()),
        ("labels", many(Limits.SET_ITEMS), many(Limits.SET_ITEMS)),
        ("estimate", 3, 3.0),
        ("estimate", None, None),
        ("due", DueDate("2028-02-29"), DueDate("2028-02-29")),
        ("due", DueAt(1_700_000_000_000, "Europe/Helsinki"), DueAt(1_700_000_000_000, "Europe/Helsinki")),
        ("custom.Sprint name", "12 ", "12 "),
        ("custom.k", "", ""),
        ("custom.k", None, None),
    ],
)
def test_a_good_value_is_stored_as_the_board_holds_it(path: str, value: FieldValue, stored: FieldValue) -> None:
    writer = Writer()
    assert writer.update(writer.create(), {path: value}).ok
    found = writer.task("PROJ-1").value(path)
    assert found == stored
    assert type(found) is type(stored)


def test_a_negative_zero_is_a_zero() -> None:
    writer = Writer()
    assert str(writer.create(estimate=-0.0).estimate) == "0.0"


def test_custom_fields_are_counted_after_the_write() -> None:
    writer = Writer()
    task = writer.create(**{f"custom_{number}": "x" for number in range(Limits.CUSTOM_FIELDS)})
    assert writer.update(task, {"custom.more": "x"}).kind is OutcomeKind.INVALID
    assert writer.update(task, {"custom.more": "x", "custom.0": None}).kind is OutcomeKind.APPLIED


@pytest.mark.parametrize("task_id", ["", "short", ulid(10).lower(), "I" * 26, ulid(1) + "\n"])
def test_a_task_id_is_a_ulid(task_id: str) -> None:
    writer = Writer()
    assert writer.apply(CreateTask(writer.header(), "PROJ", task_id, {"title": "t"})).kind is OutcomeKind.INVALID


def test_a_new_task_has_a_title() -> None:
    writer = Writer()
    outcome = writer.apply(CreateTask(writer.header(), "PROJ", ulid(1), {"description": "d"}))
    assert (outcome.kind, outcome.message.split(":")[0]) == (OutcomeKind.INVALID, "title")
