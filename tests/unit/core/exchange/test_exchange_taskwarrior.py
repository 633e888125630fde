"""Tasks of Taskwarrior to tasks of a board: dates, days, annotations, own attributes."""

from __future__ import annotations

from collections.abc import Mapping
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weftmesh.core.board.model import DueAt, DueDate, FieldValue, Priority, Status
from weftmesh.core.exchange.problems import Problem
from weftmesh.core.exchange.remarks import Remark, joined, split
from weftmesh.core.exchange.rows import ImportedTask
from weftmesh.core.exchange.taskwarrior import TaskwarriorReader
from weftmesh.core.exchange.taskwarrior_fields import TaskwarriorOptions

UUID = "6b9a2b0e-2f5d-4b7c-8a39-0a0a0a0a0a0a"
OTHER = "6b9a2b0e-2f5d-4b7c-8a39-0a0a0a0a0a0b"
TASK: Mapping[str, object] = {
    "id": 3,
    "uuid": UUID.upper(),
    "description": "Fix the gate",
    "status": "pending",
    "entry": "20260102T030405Z",
    "modified": "20260103T000000Z",
    "start": "20260102T040000Z",
    "due": "20260329T220000Z",
    "wait": "20260301T000000Z",
    "project": "Home.Garden",
    "priority": "H",
    "tags": ["tools", "b"],
    "depends": [OTHER],
    "annotations": [
        {"entry": "20260102T050000Z", "description": "second"},
        {"entry": "20260102T040000Z", "description": "first\nof two lines"},
    ],
    "urgency": 12.5,
    "energy": "low",
    "hours": 2.5,
}


def reader(zone: str = "", project: str = "") -> TaskwarriorReader:
    options = TaskwarriorOptions(project, ZoneInfo(zone) if zone else None, zone or "UTC")
    return TaskwarriorReader("tasks.json", options)


def task(entry: Mapping[str, object], found: TaskwarriorReader | None = None) -> ImportedTask:
    result = (found or reader()).read(2, dict(entry))
    assert isinstance(result, ImportedTask), result
    return result


def test_a_task_with_everything() -> None:
    row = task(TASK)

    assert (row.project_id, row.origin, row.number_hint) == ("HOME", f"taskwarrior:{UUID}", 0)
    assert row.references == {"depends_on": (OTHER,)}
    assert {path: value for path, value in row.fields.items() if value is not None} == {
        "title": "Fix the gate",
        "description": "--- comments ---\n[2026-01-02T04:00:00Z] first\n  of two lines\n[2026-01-02T05:00:00Z] second",
        "status": Status.DOING,
        "priority": Priority.HIGH,
        "labels": frozenset({"tools", "b"}),
        "due": DueAt(1_774_821_600_000, "UTC"),
        "custom.project": "Home.Garden",
        "custom.created": "2026-01-02T03:04:05Z",
        "custom.updated": "2026-01-03T00:00:00Z",
        "custom.started": "2026-01-02T04:00:00Z",
        "custom.wait": "2026-03-01T00:00:00Z",
        "custom.energy": "low",
        "custom.hours": "2.5",
    }


@pytest.mark.parametrize(
    ("due", "zone", "expected"),
    [
        ("20260328T220000Z", "", DueAt(1_774_735_200_000, "UTC")),
        ("20260328T220000Z", "Europe/Helsinki", DueDate("2026-03-29")),  # the day on which clocks go forward
        ("20260329T210000Z", "Europe/Helsinki", DueDate("2026-03-30")),  # an hour earlier from then on
        ("20260329T220000Z", "Europe/Helsinki", DueAt(1_774_821_600_000, "Europe/Helsinki")),
        ("20260329T000000Z", "UTC", DueDate("2026-03-29")),
        ("20260329T000000Z", "America/New_York", DueAt(1_774_742_400_000, "America/New_York")),
    ],
)
def test_midnight_is_a_day_only_in_the_zone_that_was_named(due: str, zone: str, expected: FieldValue) -> None:
    assert task(dict(TASK) | {"due": due}, reader(zone)).fields["due"] == expected


@pytest.mark.parametrize(
    ("status", "start", "expected"),
    [
        ("pending", None, Status.TODO),
        ("waiting", None, Status.TODO),
        ("completed", "20260101T000000Z", Status.DONE),
        ("deleted", None, Status.CANCELLED),
    ],
)
def test_statuses(status: str, start: str | None, expected: Status) -> None:
    assert task(dict(TASK) | {"status": status, "start": start}).fields["status"] == expected


def test_templates_are_counted_and_their_tasks_come_in() -> None:
    found = reader()

    assert found.read(1, dict(TASK) | {"status": "recurring", "recur": "weekly"}) is None
    row = task(dict(TASK) | {"recur": "weekly", "parent": OTHER, "imask": 3}, found)

    assert (row.fields["custom.recur"], row.fields["custom.recurring_parent"]) == ("weekly", OTHER)
    assert [note.message.split()[0] for note in found.notes] == ["1"]


def test_an_attribute_that_only_others_have_is_blank() -> None:
    found = reader()
    rows = [
        task(TASK, found),
        task({**{key: TASK[key] for key in ("description", "status", "project")}, "uuid": OTHER}, found),
    ]

    assert found.finish(rows)[1].fields["custom.energy"] is None


def test_what_depended_on_was_once_a_text_with_commas() -> None:
    assert task(dict(TASK) | {"depends": f"{OTHER},{UUID}"}).references["depends_on"] == (OTHER, UUID)


def test_a_forced_project_keeps_the_whole_name_of_the_own_one() -> None:
    row = task(TASK, reader(project="TEAM"))

    assert (row.project_id, row.fields["custom.project"]) == ("TEAM", "Home.Garden")


@pytest.mark.parametrize(
    ("change", "column"),
    [
        ({"uuid": "12"}, "uuid"),
        ({"uuid": None}, "uuid"),
        ({"description": ""}, "description"),
        ({"description": "x" * 501}, "description"),
        ({"status": "sleeping"}, "status"),
        ({"due": "tomorrow"}, "due"),
        ({"due": 20260101}, "due"),
        ({"tags": "a"}, "tags"),
        ({"tags": [1]}, "tags"),
        ({"depends": ["x"]}, "depends"),
        ({"annotations": [{"description": "no time"}]}, "annotations"),
        ({"annotations": {}}, "annotations"),
        ({"project": ""}, "project"),
        ({"energy": "x" * 4_001}, "energy"),
        ({"weftmesh": "{"}, "weftmesh"),
        ({"weftmesh": "[" * 100_000}, "weftmesh"),
    ],
)
def test_what_is_wrong_is_told_with_its_field_and_a_fix(change: dict[str, object], column: str) -> None:
    result = reader().read(2, dict(TASK) | change)

    assert isinstance(result, tuple)
    assert [(problem.line, problem.column, bool(problem.fix)) for problem in result] == [(2, column, True)]


def test_an_entry_that_is_no_object_is_a_problem() -> None:
    result = reader().read(2, ["x"])
    assert isinstance(result, tuple)
    assert isinstance(result[0], Problem)


@given(
    text=st.text(max_size=40),
    texts=st.lists(st.text(min_size=1, max_size=30), max_size=4),
)
def test_remarks_come_out_of_a_description_as_they_went_in(text: str, texts: list[str]) -> None:
    remarks = [Remark(f"2026-01-0{day}T00:00:00Z", said) for day, said in enumerate(texts, 1)]
    description = joined(text, remarks)

    again, found = split(description)

    assert joined(again, found) == description


@given(description=st.text(st.sampled_from("a \n[]-:TZ026"), max_size=60))
def test_any_description_survives_being_split(description: str) -> None:
    assert joined(*split(description)) == description
    with_heading = f"{description}\n\n--- comments ---\n{description}"
    assert joined(*split(with_heading)) == with_heading
