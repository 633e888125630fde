from __future__ import annotations

import pytest

from weftmesh.board.v1 import board_pb2
from weftmesh.cli.task_fields import assign, parse_assignments, references
from weftmesh.cli.text import due_text, parse_due
from weftmesh.core.errors import InvalidInputError


def changed(seen: board_pb2.Task, *words: str, **names: str) -> tuple[board_pb2.Task, list[str]]:
    return assign(parse_assignments(words), seen, names)


def test_plain_fields() -> None:
    task, paths = changed(
        board_pb2.Task(),
        "status=done",
        "priority=urgent",
        "assignee=ann",
        "estimate=2.5",
        "title=a = b",
        "description=x\ny",
    )
    assert task.status == board_pb2.TASK_STATUS_DONE
    assert task.priority == board_pb2.TASK_PRIORITY_URGENT
    assert (task.assignee, task.estimate, task.title, task.description) == ("ann", 2.5, "a = b", "x\ny")
    assert paths == ["status", "priority", "assignee", "estimate", "title", "description"]


def test_an_empty_value_clears() -> None:
    seen = board_pb2.Task(assignee="ann", estimate=0, priority=board_pb2.TASK_PRIORITY_LOW, custom={"a": "1"})
    seen.due.date = "2026-12-01"
    task, paths = changed(seen, "assignee=", "estimate=", "priority=", "due=", "custom.a=", "custom.b=")
    assert task == board_pb2.Task()
    assert paths == ["assignee", "estimate", "priority", "due", "custom.a", "custom.b"]


def test_sets_grow_and_shrink() -> None:
    task, paths = changed(board_pb2.Task(labels=["a", "b"]), "label+=c,d", "label-=a", "labels+=b")
    assert list(task.labels) == ["b", "c", "d"]
    assert paths == ["labels"]
    assert list(changed(task, "labels=z, y")[0].labels) == ["y", "z"]
    assert not changed(task, "labels=")[0].labels


def test_references_are_replaced_by_names() -> None:
    words = ["depends_on+=PROJ-2,PROJ-3", "parent=PROJ-2"]
    assert references(parse_assignments(words)) == ["PROJ-2", "PROJ-3"]
    names = {"PROJ-2": "projects/PROJ/tasks/B", "PROJ-3": "projects/PROJ/tasks/C"}
    task, _ = changed(board_pb2.Task(depends_on=["projects/PROJ/tasks/A"]), *words, **names)
    assert [name[-1] for name in task.depends_on] == ["A", "B", "C"]
    assert task.parent == names["PROJ-2"]


def test_custom_keys_keep_their_spelling() -> None:
    task, paths = changed(board_pb2.Task(), "custom.Story Points=3", "custom.a.b=x=y")
    assert dict(task.custom) == {"Story Points": "3", "a.b": "x=y"}
    assert paths == ["custom.Story Points", "custom.a.b"]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("status", "no assignment"),
        ("=done", "no assignment"),
        ("colour=red", "no field 'colour'"),
        ("version=3", "no field"),
        ("status+=done", "no set"),
        ("status=finished", "todo, doing, blocked, done, cancelled"),
        ("priority=1", "none, low"),
        ("estimate=three", "number"),
        ("estimate=nan", "number"),
        ("estimate=-1", "number"),
        ("due=tomorrow", "not a time"),
        ("due=2026-02-30", "not a time"),
        ("due=2026-12-01 14:00", "time zone"),
        ("due=2026-12-01 14:00 Mars/Base", "not a time zone"),
        ("due=0001-01-01T00:00+14:00", "not a time"),
        ("due=9999-12-31T23:59-14:00", "not a time"),
        ("due=0001-01-01 00:00 Asia/Tokyo", "not a time"),
    ],
)
def test_a_wrong_word_is_explained(word: str, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        changed(board_pb2.Task(), word)


@pytest.mark.parametrize(
    ("text", "seconds", "zone"),
    [
        ("2026-12-01 14:00 Europe/Helsinki", 1796126400, "Europe/Helsinki"),
        ("2026-07-01 14:00 Europe/Helsinki", 1782903600, "Europe/Helsinki"),
        ("2026-12-01 12:00 UTC", 1796126400, "UTC"),
        ("2026-12-01T14:00+02:00", 1796126400, "UTC"),
        ("2026-12-01T12:00:00Z", 1796126400, "UTC"),
    ],
)
def test_an_instant_has_a_zone(text: str, seconds: int, zone: str) -> None:
    due = parse_due(text)
    assert (due.at.time.seconds, due.at.zone) == (seconds, zone)


def test_a_due_time_is_shown_as_it_was_meant() -> None:
    for text in ("2026-12-01", "2026-12-01 14:00 Europe/Helsinki"):
        assert due_text(board_pb2.Task(due=parse_due(text))) == text
    assert not due_text(board_pb2.Task())
