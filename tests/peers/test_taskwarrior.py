"""A real Taskwarrior reads what weftmesh exports, and weftmesh reads what it prints."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest
from tests.fakes.board_gateway import MemoryBoard

from weftmesh.board.v1 import board_pb2
from weftmesh.client.exchange.document_export import export_taskwarrior
from weftmesh.client.exchange.importer import ImportReport, run_import
from weftmesh.client.exchange.messages import existing_task
from weftmesh.client.exchange.sources import taskwarrior_source
from weftmesh.core.exchange.mapping import DIGESTS_KEY

TIMEOUT_S = 60


class Taskwarrior:
    """Its own data, without hooks or questions."""

    def __init__(self, program: str, folder: Path) -> None:
        self._program = program
        self._rc = folder / "taskrc"
        (folder / "data").mkdir()
        self._rc.write_text(f"data.location={folder / 'data'}\nconfirmation=off\nhooks=off\nverbose=nothing\ngc=on\n")

    def run(self, *arguments: str) -> str:
        environment = os.environ | {"TASKRC": str(self._rc), "LC_ALL": "C.UTF-8"}
        command = [self._program, *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, timeout=TIMEOUT_S, check=False)
        assert done.returncode == 0, done.stderr.decode() + done.stdout.decode()
        return done.stdout.decode()


@pytest.fixture
def taskwarrior(tmp_path: Path) -> Taskwarrior:
    program = shutil.which("task")
    if program is None:
        reason = "Taskwarrior is not installed; `make peers` does that"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return Taskwarrior(program, tmp_path)


def tasks() -> Iterable[board_pb2.Task]:
    full = board_pb2.Task(
        title='Say "hello", [twice] \\ é 😀 a/b',
        description='first line\n"second" \\ [x]\ttab\n\n--- comments ---\n[2026-01-02T03:04:05Z] ann: one\n  more',
        status=board_pb2.TASK_STATUS_BLOCKED,
        assignee="ann",
        priority=board_pb2.TASK_PRIORITY_URGENT,
        labels=["tools", "two words", "a-b"],
        estimate=0.1,
        custom={"team": "Ä, Ö", "created": "2020-01-01T00:00:00Z", "note": 'a\nb "c" \\ [d]', "project": "Home.Garden"},
        origin="jira:OLD-7",
    )
    full.due.at.time.FromMilliseconds(1_795_000_000_123)
    full.due.at.zone = "Europe/Helsinki"
    day = board_pb2.Task(title="A day", status=board_pb2.TASK_STATUS_DOING, priority=board_pb2.TASK_PRIORITY_LOW)
    day.due.date = "2026-12-24"
    yield full
    yield day
    yield board_pb2.Task(title="Done", status=board_pb2.TASK_STATUS_DONE, custom={"resolved": "2026-02-03T04:05:06Z"})
    yield board_pb2.Task(title="Not any more", status=board_pb2.TASK_STATUS_CANCELLED)


async def filled() -> MemoryBoard:
    board = MemoryBoard()
    await board.create_project("PROJ", "Project")
    for place, task in enumerate(tasks()):
        request = board_pb2.WriteRequest()
        request.create_task.parent = "projects/PROJ"
        request.create_task.task_id = f"01ARZ3NDEKTSV4RRFFQ69G5FA{place}"
        request.create_task.task.CopyFrom(task)
        (answer,) = await board.write([request])
        assert answer.HasField("applied"), answer
    board.edit("PROJ-1", depends_on=frozenset({"01ARZ3NDEKTSV4RRFFQ69G5FA1"}), parent="01ARZ3NDEKTSV4RRFFQ69G5FA2")
    return board


def written(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


async def exported(stream: AsyncIterator[board_pb2.Task], path: Path) -> Path:
    out = io.StringIO()
    await export_taskwarrior(stream, out, "Europe/Helsinki")
    return written(path, out.getvalue())


async def imported(board: MemoryBoard, text: str, path: Path) -> ImportReport:
    return await run_import(board, written(path, text), taskwarrior_source(time_zone="America/New_York"))


def contents(board: MemoryBoard) -> list[dict[str, object]]:
    titles = {task.name: task.title for task in board.tasks()}
    found: list[dict[str, object]] = []
    for task in board.tasks():
        plain = existing_task(task)
        fields = {path: value for path, value in plain.fields.items() if not path.endswith(DIGESTS_KEY)}
        links = {"parent": titles.get(task.parent), "depends_on": [titles[name] for name in task.depends_on]}
        found.append({**fields, **links, "origin": plain.origin})
    return sorted(found, key=lambda fields: str(fields["title"]))


async def test_what_went_through_taskwarrior_is_what_went_in(taskwarrior: Taskwarrior, tmp_path: Path) -> None:
    board = await filled()
    taskwarrior.run("import", str(await exported(board.list_tasks("PROJ"), tmp_path / "out.json")))
    printed = taskwarrior.run("export")
    assert len(json.loads(printed)) == 4

    same = await imported(board, printed, tmp_path / "back.json")
    assert (same.problems, same.created, same.updated, same.unchanged) == ((), 0, 0, 4)
    other = MemoryBoard()
    assert (await imported(other, printed, tmp_path / "back.json")).problems == ()
    assert contents(other) == contents(board)


async def test_it_understands_what_the_words_say(taskwarrior: Taskwarrior, tmp_path: Path) -> None:
    board = await filled()

    taskwarrior.run("import", str(await exported(board.list_tasks("PROJ"), tmp_path / "out.json")))

    by_title = {task["description"]: task for task in json.loads(taskwarrior.run("export"))}
    assert {title: task["status"] for title, task in by_title.items() if not title.startswith("Say")} == {
        "A day": "pending",
        "Done": "completed",
        "Not any more": "deleted",
    }
    assert by_title["A day"]["due"] == "20261223T220000Z"
    full = by_title['Say "hello", [twice] \\ é 😀 a/b']
    assert (full["priority"], full["project"], sorted(full["tags"])) == ("H", "Home.Garden", ["a-b", "tools"])
    assert full["depends"] == [by_title["A day"]["uuid"]]


async def test_what_was_done_in_taskwarrior_arrives(taskwarrior: Taskwarrior, tmp_path: Path) -> None:
    board = await filled()
    taskwarrior.run("import", str(await exported(board.list_tasks("PROJ"), tmp_path / "out.json")))
    board.edit("PROJ-2", assignee="eve")
    (uuid,) = [task["uuid"] for task in json.loads(taskwarrior.run("export")) if task["description"] == "A day"]
    taskwarrior.run(uuid, "modify", "+garden", "priority:H")
    taskwarrior.run(uuid, "annotate", "bought a tree")
    taskwarrior.run(uuid, "done")

    report = await imported(board, taskwarrior.run("export"), tmp_path / "back.json")

    assert (report.problems, report.updated, report.unchanged) == ((), 1, 3)
    task = board.task("PROJ-2")
    assert (task.status, task.priority) == (board_pb2.TASK_STATUS_DONE, board_pb2.TASK_PRIORITY_HIGH)
    assert (list(task.labels), task.assignee, task.due.date) == (["garden"], "eve", "2026-12-24")
    assert task.description.endswith("bought a tree")


async def test_its_own_tasks_come_in_once(taskwarrior: Taskwarrior, tmp_path: Path) -> None:
    taskwarrior.run("add", "project:Home", "+tools", "priority:M", "due:2026-12-24T10:00:00Z", "Fix the gate")
    taskwarrior.run("add", "project:Home", "depends:1", "wait:2099-01-01", "Paint it")
    taskwarrior.run("add", "project:Home", "recur:weekly", "due:2099-01-01", "Sweep")
    board = MemoryBoard()

    report = await imported(board, taskwarrior.run("export"), tmp_path / "own.json")

    assert report.problems == ()
    titles = {task.title: task for task in board.tasks()}
    assert set(titles) == {"Fix the gate", "Paint it", "Sweep"}
    assert list(titles["Paint it"].depends_on) == [titles["Fix the gate"].name]
    assert titles["Sweep"].custom["recur"] == "weekly"
    assert ["recurring" in note.column for note in report.notes] == [True]
    again = await imported(board, taskwarrior.run("export", "rc.json.array=off"), tmp_path / "own.json")
    assert (again.created, again.updated) == (0, 0)
