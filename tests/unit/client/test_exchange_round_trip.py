"""What goes out to another tracker's format and comes back is what went out, whatever the task holds."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Iterable
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.fakes.board_gateway import MemoryBoard

from weftmesh.board.v1 import board_pb2
from weftmesh.client.exchange.document_export import export_github, export_taskwarrior
from weftmesh.client.exchange.importer import ImportReport, run_import
from weftmesh.client.exchange.messages import existing_task
from weftmesh.client.exchange.sources import ImportSource, github_source, taskwarrior_source
from weftmesh.core.board.model import Priority, Status
from weftmesh.core.exchange.mapping import DIGESTS_KEY

FORMATS = ["github", "taskwarrior"]
_ULIDS = [f"01ARZ3NDEKTSV4RRFFQ69G5FA{last}" for last in "ABC"]
_TIMES = st.datetimes().map(lambda moment: moment.isoformat(timespec="seconds") + "Z")
_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)
_LINE = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1, max_size=20).filter(str.strip)
_CUSTOM_KEYS = st.sampled_from(
    [
        *("created", "updated", "resolved", "started", "wait", "until", "project", "recur", "milestone", "author"),
        *("url", "state_reason", "assignees", "team", "weftmesh", "entry", "vanished"),
    ]
)
_WORDS = st.sampled_from(["", "not_planned", "reopened", "a; b", "x.y"])
_CUSTOM = st.dictionaries(_CUSTOM_KEYS, st.one_of(_TIMES, _LINE, _TEXT, _WORDS), max_size=4)
_DESCRIPTIONS = st.one_of(
    _TEXT,
    st.just("text\n\n--- comments ---\n[2026-01-02T03:04:05Z] ann: one\n  more\n[2026-01-02T03:04:06Z] two"),
    st.just("--- comments ---\n[2026-01-02T03:04:05Z] one"),
    st.just("--- comments ---\n[2026-01-02T03:04:05Z] two of\n[2026-01-02T03:04:05Z] one second"),
)


_REASONS_OF_NO_TRACKER = [
    board_pb2.Task(title="A control character", status=board_pb2.TASK_STATUS_DONE, custom={"state_reason": "\x1f"}),
    board_pb2.Task(title="Two lines", status=board_pb2.TASK_STATUS_CANCELLED, custom={"state_reason": "not\nplanned"}),
    board_pb2.Task(title="A long one", status=board_pb2.TASK_STATUS_DONE, custom={"state_reason": "x" * 4_000}),
]
_MORE_PEOPLE_THAN_FIT = [
    board_pb2.Task(title="Many people", assignee="ann", custom={"assignees": f"bob; {'x' * 3_995}"}),
]


@st.composite
def tasks(draw: st.DrawFn) -> board_pb2.Task:
    task = board_pb2.Task(
        title=draw(_LINE),
        description=draw(_DESCRIPTIONS),
        status=draw(st.sampled_from([int(status) for status in Status])),  # type: ignore[arg-type]
        assignee=draw(st.one_of(st.just(""), _LINE)),
        priority=draw(st.sampled_from([int(priority) for priority in Priority])),  # type: ignore[arg-type]
        labels=draw(st.sets(_LINE, max_size=3)),
        custom={key: value for key, value in draw(_CUSTOM).items() if value},
        origin=draw(
            st.sampled_from(["", "github:a/b#7", "taskwarrior:6b9a2b0e-2f5d-4b7c-8a39-0a0a0a0a0a0a", "jira:X-1"])
        ),
    )
    if draw(st.booleans()):
        task.estimate = draw(st.floats(0, 1e6))
    due = draw(st.sampled_from(["", "date", "at"]))
    if due == "date":
        task.due.date = draw(st.dates(date(1, 1, 2), date(9999, 12, 30))).isoformat()
    elif due == "at":
        task.due.at.time.FromMilliseconds(draw(st.integers(-(10**13), 10**14)))
        task.due.at.zone = draw(st.sampled_from(["UTC", "Europe/Helsinki", "America/St_Johns"]))
    return task


async def board_of(found: Iterable[board_pb2.Task]) -> MemoryBoard:
    board = MemoryBoard()
    await board.create_project("PROJ", "Project")
    origins: set[str] = set()
    for ulid, task in zip(_ULIDS, found, strict=False):
        request = board_pb2.WriteRequest()
        request.create_task.parent, request.create_task.task_id = "projects/PROJ", ulid
        request.create_task.task.CopyFrom(task)
        if task.origin in origins:
            request.create_task.task.origin = ""
        origins.add(task.origin)
        (answer,) = await board.write([request])
        assert answer.HasField("applied"), answer
    return board


async def exported(kind: str, stream: AsyncIterator[board_pb2.Task]) -> str:
    out = io.StringIO()
    await (export_github(stream, out) if kind == "github" else export_taskwarrior(stream, out, "Asia/Tokyo"))
    return out.getvalue()


def source_of(kind: str) -> ImportSource:
    return github_source() if kind == "github" else taskwarrior_source(time_zone="America/New_York")


async def imported(board: MemoryBoard, kind: str, text: str) -> ImportReport:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "export.json"
        path.write_text(text, "utf-8")
        return await run_import(board, path, source_of(kind))


def contents(board: MemoryBoard) -> list[dict[str, object]]:
    """Every task without what depends on the board that holds it, in the order of their origins: each has another."""
    found: list[dict[str, object]] = []
    for task in board.tasks():
        plain = existing_task(task)
        fields = {path: value for path, value in plain.fields.items() if not path.endswith(DIGESTS_KEY)}
        links = {"parent": bool(fields.pop("parent", "")), "waits": len(fields.pop("depends_on", ()))}  # type: ignore[arg-type]
        found.append({**fields, **links, "origin": plain.origin})
    return sorted(found, key=lambda one: str(one["origin"]))


@pytest.mark.parametrize("kind", FORMATS)
@settings(max_examples=25)
@given(found=st.lists(tasks(), min_size=1, max_size=3))
@example(found=_REASONS_OF_NO_TRACKER)
@example(found=_MORE_PEOPLE_THAN_FIT)
def test_another_board_gets_what_was_exported(kind: str, found: list[board_pb2.Task]) -> None:
    async def there_and_back() -> None:
        board = await board_of(found)
        text = await exported(kind, board.list_tasks("PROJ"))
        other = MemoryBoard()
        report = await imported(other, kind, text)
        assert report.problems == ()
        assert contents(other) == contents(board)

    asyncio.run(there_and_back())


@pytest.mark.parametrize("kind", FORMATS)
@settings(max_examples=12)
@given(found=st.lists(tasks(), min_size=1, max_size=3))
def test_the_same_board_gets_nothing_new(kind: str, found: list[board_pb2.Task]) -> None:
    async def there_and_back() -> None:
        board = await board_of(found)
        before = board.board.revision
        report = await imported(board, kind, await exported(kind, board.list_tasks("PROJ")))
        assert (report.problems, report.created, report.updated) == ((), 0, 0)
        assert board.board.revision == before

    asyncio.run(there_and_back())


@pytest.mark.parametrize("kind", FORMATS)
async def test_an_export_is_the_same_every_time(kind: str) -> None:
    board = await board_of([board_pb2.Task(title="One", labels=["b", "a"], custom={"y": "2", "x": "1"})])

    assert await exported(kind, board.list_tasks("PROJ")) == await exported(kind, board.list_tasks("PROJ"))


@pytest.mark.parametrize("kind", FORMATS)
async def test_references_find_their_tasks_on_another_board(kind: str) -> None:
    board = await board_of([board_pb2.Task(title="One"), board_pb2.Task(title="Two")])
    board.edit("PROJ-2", parent=_ULIDS[0], depends_on=frozenset({_ULIDS[0]}))
    other = MemoryBoard()

    await imported(other, kind, await exported(kind, board.list_tasks("PROJ")))

    one, two = sorted(other.tasks(), key=lambda task: task.title)
    assert (two.parent, list(two.depends_on)) == (one.name, [one.name])


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("github", {"state": "CLOSED", "stateReason": "COMPLETED", "labels": [{"name": "a"}, {"name": "new one"}]}),
        ("taskwarrior", {"status": "completed", "end": "20270101T000000Z", "tags": ["a", "new"]}),
    ],
)
async def test_an_edit_in_the_tracker_merges_with_what_the_board_alone_holds(
    kind: str, changes: dict[str, object]
) -> None:
    task = board_pb2.Task(
        title="One",
        description="text",
        status=board_pb2.TASK_STATUS_BLOCKED,
        priority=board_pb2.TASK_PRIORITY_URGENT,
        labels=["a", "two words"],
        estimate=2.5,
    )
    task.due.date = "2026-12-24"
    board = await board_of([task])
    (entry,) = json.loads(await exported(kind, board.list_tasks("PROJ")))
    board.edit("PROJ-1", assignee="ann")

    report = await imported(board, kind, json.dumps([entry | changes]))

    assert (report.problems, report.updated) == ((), 1)
    after = board.task("PROJ-1")
    assert after.status == board_pb2.TASK_STATUS_DONE
    assert {"a", "new one" if kind == "github" else "new"} <= set(after.labels)
    assert ("two words" in after.labels) == (kind == "taskwarrior")
    assert (after.assignee, after.priority, after.estimate) == ("ann", board_pb2.TASK_PRIORITY_URGENT, 2.5)
    assert (after.description, after.due.date) == ("text", "2026-12-24")
