"""Exporting tasks, and reading them back."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest
from tests.fakes.board_gateway import MemoryBoard

from weftmesh.board.v1 import board_pb2
from weftmesh.client.exchange.exporter import export_csv, export_jsonl
from weftmesh.client.exchange.importer import ImportReport, run_import
from weftmesh.client.exchange.mappings import MappingOptions, build_mapping
from weftmesh.client.exchange.sources import TableSource


async def stream(tasks: Iterable[board_pb2.Task]) -> AsyncIterator[board_pb2.Task]:
    for task in tasks:
        yield task


def full_task() -> board_pb2.Task:
    task = board_pb2.Task(
        title='Say "hello", twice',
        description=" indented\r\nsecond line; =1+1\n",
        status=board_pb2.TASK_STATUS_BLOCKED,
        assignee="ann",
        priority=board_pb2.TASK_PRIORITY_HIGH,
        labels=["b;c", "a", '"q"'],
        estimate=0.1,
        custom={"Team name": "Ä, Ö", "created": "2020-01-01T00:00:00Z"},
    )
    task.due.at.time.FromMilliseconds(1_795_000_000_123)
    task.due.at.zone = "Europe/Helsinki"
    return task


@pytest.fixture
async def board() -> MemoryBoard:
    board = MemoryBoard()
    await board.create_project("PROJ", "Project")
    first = board_pb2.WriteRequest()
    first.create_task.parent = "projects/PROJ"
    first.create_task.task_id = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
    first.create_task.task.CopyFrom(full_task())
    second = board_pb2.WriteRequest()
    second.create_task.parent = "projects/PROJ"
    second.create_task.task_id = "01ARZ3NDEKTSV4RRFFQ69G5FAW"
    second.create_task.task.title = "Two"
    second.create_task.task.due.date = "2026-12-24"
    second.create_task.task.parent = "projects/PROJ/tasks/01ARZ3NDEKTSV4RRFFQ69G5FAV"
    second.create_task.task.depends_on.append(second.create_task.task.parent)
    await board.write([first])
    await board.write([second])
    return board


async def exported(board: MemoryBoard, folder: Path) -> Path:
    path = folder / "board.csv"
    with path.open("w", encoding="utf-8", newline="") as out:
        assert await export_csv(board.list_tasks("PROJ"), out) == len(board.tasks())
    return path


async def imported(board: MemoryBoard, path: Path) -> ImportReport:
    mapping = build_mapping("weftmesh", MappingOptions(time_zone="America/New_York"))
    return await run_import(board, path, TableSource(mapping))


async def test_what_was_exported_changes_nothing_when_it_comes_back(board: MemoryBoard, tmp_path: Path) -> None:
    path = await exported(board, tmp_path)

    report = await imported(board, path)

    assert (report.unchanged, report.updated, report.created, report.problems, report.notes) == (2, 0, 0, (), ())


async def test_another_board_gets_every_field(board: MemoryBoard, tmp_path: Path) -> None:
    path = await exported(board, tmp_path)
    other = MemoryBoard(start_ms=1_800_000_000_000)

    report = await imported(other, path)

    assert report.created == 2
    before, after = board.task("PROJ-1"), other.task("PROJ-1")
    assert after.origin == "weftmesh:PROJ-1"
    del after.custom["import_digests"]
    for name in ("title", "description", "status", "assignee", "priority", "estimate", "due", "custom"):
        assert getattr(after, name) == getattr(before, name), name
    assert sorted(after.labels) == sorted(before.labels)
    assert other.task("PROJ-2").parent == after.name
    assert list(other.task("PROJ-2").depends_on) == [after.name]
    assert (await imported(other, path)).unchanged == 2


async def test_an_edit_in_the_file_meets_an_edit_of_another_field_on_the_board(
    board: MemoryBoard, tmp_path: Path
) -> None:
    path = await exported(board, tmp_path)
    board.edit("PROJ-2", assignee="bob")
    path.write_bytes(path.read_bytes().replace(b",Two,", b",Two and a half,"))

    report = await imported(board, path)

    assert (report.updated, report.problems) == (1, ())
    assert (board.task("PROJ-2").title, board.task("PROJ-2").assignee) == ("Two and a half", "bob")


async def test_the_same_field_edited_in_the_file_and_on_the_board_is_refused(
    board: MemoryBoard, tmp_path: Path
) -> None:
    path = await exported(board, tmp_path)
    board.edit("PROJ-2", title="Too")
    path.write_bytes(path.read_bytes().replace(b",Two,", b",Two and a half,"))

    report = await imported(board, path)

    (problem,) = report.problems
    assert "others changed the same meanwhile" in problem.message
    assert board.task("PROJ-2").title == "Too"


async def test_a_task_that_was_deleted_where_it_was_exported_is_not_made(board: MemoryBoard, tmp_path: Path) -> None:
    board.delete("PROJ-1")
    path = await exported(board, tmp_path)
    other = MemoryBoard(start_ms=1_800_000_000_000)

    report = await imported(other, path)

    assert [task.key for task in other.tasks()] == ["PROJ-2"]
    assert [(note.column, note.message) for note in report.notes] == [
        ("", "deleted where it was exported"),
        ("parent", "names no task of this file, or of its projects on the board"),
        ("depends_on", "names no task of this file, or of its projects on the board"),
    ]
    assert (await imported(board, path)).unchanged == 2


async def test_columns_are_in_a_stable_order(board: MemoryBoard, tmp_path: Path) -> None:
    path = await exported(board, tmp_path)

    assert path.read_text("utf-8").splitlines()[0] == (
        "key,origin,title,description,status,assignee,priority,labels,estimate,due,parent,depends_on,"
        "custom.Team name,custom.created,created,updated,deleted,version,revision,etag"
    )


async def test_an_instant_keeps_the_zone_it_was_meant_in(board: MemoryBoard, tmp_path: Path) -> None:
    rows = list(csv.DictReader((await exported(board, tmp_path)).open(encoding="utf-8", newline="")))

    assert [row["due"] for row in rows] == ["2026-11-18T13:06:40.123000+02:00[Europe/Helsinki]", "2026-12-24"]


async def test_json_lines_hold_every_field_with_its_type(board: MemoryBoard) -> None:
    out = io.StringIO()

    count = await export_jsonl(board.list_tasks("PROJ"), out)

    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert count == len(lines) == 2
    assert lines[0]["estimate"] == 0.1
    assert lines[0]["labels"] == ['"q"', "a", "b;c"]
    assert lines[0]["custom"]["Team name"] == "Ä, Ö"
    assert lines[0]["due"] == {"at": "2026-11-18T13:06:40.123000+02:00", "zone": "Europe/Helsinki"}
    assert lines[1]["due"] == {"date": "2026-12-24"}
    assert lines[1]["depends_on"] == ["projects/PROJ/tasks/01ARZ3NDEKTSV4RRFFQ69G5FAV"]
    assert (lines[1]["estimate"], lines[1]["deleted"], lines[1]["version"]) == (None, None, 1)


async def test_no_tasks_still_give_a_header() -> None:
    out = io.StringIO()

    assert await export_csv(stream([]), out) == 0
    assert out.getvalue().startswith("key,origin,title,")
