"""What people and programs see of core values."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from tests.fakes import strategies

from weftmesh.board.v1 import board_pb2
from weftmesh.core.board.model import (
    Change,
    Collision,
    Conflict,
    DueAt,
    DueDate,
    FieldChange,
    FieldValue,
    MergePolicy,
    Priority,
    Project,
    Status,
    Task,
    Verb,
)
from weftmesh.core.errors import InvalidInputError
from weftmesh.runtime.wire import resources

STAMP = 1_700_000_000_123 << 16
ID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
OTHER = "01ARZ3NDEKTSV4RRFFQ69G5FAW"
TASK = Task(
    id=ID,
    project_id="PROJ",
    number=12,
    version=3,
    revision=40,
    title="Fix the watchdog",
    status=Status.DOING,
    priority=Priority.HIGH,
    labels=frozenset({"fw", "bug"}),
    estimate=0.0,
    due=DueDate("2026-11-21"),
    parent=OTHER,
    depends_on=frozenset({OTHER}),
    custom={"sprint": "42"},
    created_stamp=STAMP,
    updated_stamp=STAMP,
    updated_by="ann@node1",
    history=(Change(1, 40, Verb.CREATE, "ann@node1", STAMP, b""),),
)


def test_a_task_is_shown_whole() -> None:
    message = resources.task_message(TASK)
    assert message.name == f"projects/PROJ/tasks/{ID}"
    assert (message.key, message.etag, message.version, message.revision) == ("PROJ-12", "v3", 3, 40)
    assert (message.status, message.priority) == (board_pb2.TASK_STATUS_DOING, board_pb2.TASK_PRIORITY_HIGH)
    assert list(message.labels) == ["bug", "fw"]
    assert message.HasField("estimate")
    assert message.due.date == "2026-11-21"
    assert dict(message.custom) == {"sprint": "42"}
    assert message.create_time.ToMilliseconds() == 1_700_000_000_123
    assert not message.HasField("delete_time")


def test_an_absent_estimate_and_due_stay_absent() -> None:
    message = resources.task_message(replace(TASK, estimate=None, due=None))
    assert not message.HasField("estimate")
    assert not message.HasField("due")


def test_other_tasks_are_named_by_their_own_project_where_it_is_known() -> None:
    assert resources.task_message(TASK).parent == f"projects/PROJ/tasks/{OTHER}"
    message = resources.task_message(TASK, lambda task_id: "ELSE")
    assert message.parent == f"projects/ELSE/tasks/{OTHER}"
    assert list(message.depends_on) == [message.parent]


def test_an_instant_keeps_its_zone() -> None:
    due = resources.task_message(replace(TASK, due=DueAt(-1, "Europe/Helsinki"))).due
    assert due.at.time.ToMilliseconds() == -1
    assert due.at.zone == "Europe/Helsinki"


@settings(max_examples=40, deadline=None)
@given(strategies.tasks)
def test_every_task_can_be_shown(task: Task) -> None:
    assert resources.task_message(task).title == task.title
    for change in task.history:
        assert resources.change_message(change).version == change.version


def test_a_project_is_shown_whole() -> None:
    project = Project("PROJ", "Firmware", "mesh", MergePolicy.LATEST, 2, 9, 1, STAMP, STAMP, deleted_stamp=STAMP)
    message = resources.project_message(project, 7)
    assert message.name == "projects/PROJ"
    assert message.merge_policy == board_pb2.MERGE_POLICY_LATEST
    assert (message.etag, message.task_count, message.revision) == ("v2", 7, 9)
    assert message.delete_time.ToMilliseconds() == 1_700_000_000_123


def test_a_change_shows_words_and_the_loser() -> None:
    fields = (
        FieldChange("status", Status.TODO, Status.DOING),
        FieldChange("labels", frozenset(), frozenset({"b", "ä"}), frozenset(), "bob@node2"),
    )
    request_id = bytes(range(16))
    message = resources.change_message(Change(2, 41, Verb.UPDATE, "ann@node1", STAMP, request_id, fields))
    assert message.verb == "update"
    assert message.request_id == "00010203-0405-0607-0809-0a0b0c0d0e0f"
    assert (message.fields[0].before, message.fields[0].after, message.fields[0].has_loser) == ("todo", "doing", False)
    assert (message.fields[1].after, message.fields[1].loser, message.fields[1].has_loser) == ('["b", "ä"]', "[]", True)


def test_a_conflict_names_its_task_and_both_values() -> None:
    collision = Collision("priority", Priority.NONE, Priority.HIGH, Priority.LOW, "bob@node2")
    message = resources.conflict_message(TASK, Conflict(4, "ann@node1", STAMP, (collision,)))
    assert message.name == f"projects/PROJ/tasks/{ID}/conflicts/4"
    assert message.task_key == "PROJ-12"
    assert (message.fields[0].base, message.fields[0].yours, message.fields[0].theirs) == ("none", "high", "low")


@pytest.mark.parametrize(
    ("path", "value", "text"),
    [
        ("title", "as it is", "as it is"),
        ("due", None, ""),
        ("due", DueDate("2026-11-21"), "2026-11-21"),
        ("due", DueAt(1_700_000_000_000, "Europe/Helsinki"), "2023-11-14T22:13:20Z[Europe/Helsinki]"),
        ("due", DueAt(1, "UTC"), "1970-01-01T00:00:00.001Z[UTC]"),
        ("due", DueAt(2**62, "UTC"), f"{2**62} ms[UTC]"),
        ("estimate", 3.0, "3"),
        ("estimate", 0.5, "0.5"),
        ("status", 99, "99"),
    ],
)
def test_a_value_as_text(path: str, value: FieldValue, text: str) -> None:
    assert resources.value_text(path, value) == text


def test_an_etag_is_the_version_and_nothing_else() -> None:
    assert resources.parse_etag(resources.etag_of(12)) == 12
    assert resources.parse_etag('"v12"') == 12
    assert resources.parse_etag("") == 0
    for wrong in ("12", "v", "v-1", "v1x", "W/v1", "v" + "9" * 30):
        with pytest.raises(InvalidInputError, match="read again"):
            resources.parse_etag(wrong)
