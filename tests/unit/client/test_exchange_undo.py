"""Taking an import back: exactly what it did, where nobody touched it since."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from tests.fakes.board_gateway import MemoryBoard

from weftmesh.board.v1 import board_pb2
from weftmesh.client.exchange.importer import ImportOptions, ImportReport, run_import
from weftmesh.client.exchange.mappings import build_mapping
from weftmesh.client.exchange.messages import existing_task
from weftmesh.client.exchange.sources import TableSource
from weftmesh.client.exchange.undoing import UndoReport, undo_import
from weftmesh.core.errors import NoQuorumError, NotFoundError
from weftmesh.core.exchange.tokens import ImportToken

HEADER = "Issue key,Summary,Status,Labels,Parent\n"
ROWS = "PROJ-1,One,To Do,a,\nPROJ-2,Two,In Progress,,PROJ-1\n"


@pytest.fixture
def board() -> MemoryBoard:
    return MemoryBoard()


async def bring(board: MemoryBoard, folder: Path, rows: str, options: ImportOptions | None = None) -> ImportReport:
    path = folder / "jira.csv"
    path.write_text(HEADER + rows, "utf-8")
    return await run_import(board, path, TableSource(build_mapping("jira")), options)


async def take_back(
    board: MemoryBoard, report: ImportReport, *, dry_run: bool = False, force: bool = False
) -> UndoReport:
    return await undo_import(board, ImportToken.parse(report.undo), dry_run=dry_run, force=force)


def live(board: MemoryBoard) -> set[str]:
    return {task.key for task in board.tasks() if not task.HasField("delete_time")}


async def test_what_was_made_is_deleted_and_the_project_that_is_empty_now_is_named(
    board: MemoryBoard, tmp_path: Path
) -> None:
    report = await bring(board, tmp_path, ROWS)

    undone = await take_back(board, report)

    assert (undone.deleted, undone.restored, undone.kept, undone.empty_projects) == (2, 0, [], ["PROJ"])
    assert live(board) == set()


async def test_what_was_changed_is_as_it_was_before(board: MemoryBoard, tmp_path: Path) -> None:
    await bring(board, tmp_path, ROWS)
    before = [existing_task(task).fields for task in board.tasks()]
    second = await bring(board, tmp_path, ROWS.replace("One,To Do,a", "Uno,Closed,b") + "PROJ-3,Three,To Do,,PROJ-2\n")
    assert (second.updated, second.created) == (1, 1)

    undone = await take_back(board, second)

    assert (undone.deleted, undone.restored, undone.kept) == (1, 1, [])
    assert [existing_task(task).fields for task in board.tasks() if task.key != "PROJ-3"] == before
    third = await bring(board, tmp_path, ROWS)
    assert (third.updated, third.unchanged, third.notes) == (0, 2, ())


async def test_once_more_changes_nothing(board: MemoryBoard, tmp_path: Path) -> None:
    report = await bring(board, tmp_path, ROWS)
    await take_back(board, report)
    revision = board.board.revision

    again = await take_back(board, report)

    assert (again.deleted, again.restored, again.already) == (0, 0, 2)
    assert board.board.revision == revision


async def test_what_was_edited_since_is_named_and_left_unless_forced(board: MemoryBoard, tmp_path: Path) -> None:
    report = await bring(board, tmp_path, ROWS)
    board.edit("PROJ-2", title="Two and a half")

    undone = await take_back(board, report)

    assert (undone.deleted, live(board), undone.empty_projects) == (1, {"PROJ-2"}, [])
    (kept,) = undone.kept
    assert (kept.key, "Two and a half" in kept.why, "ann@memory" in kept.why) == ("PROJ-2", True, True)
    assert (await take_back(board, report, force=True)).deleted == 1
    assert live(board) == set()


async def test_of_a_task_that_was_there_before_only_untouched_fields_go_back(
    board: MemoryBoard, tmp_path: Path
) -> None:
    await bring(board, tmp_path, ROWS)
    second = await bring(board, tmp_path, ROWS.replace("One,To Do,a", "Uno,Closed,b"))
    board.edit("PROJ-1", title="Eins", assignee="ann")

    undone = await take_back(board, second)

    task = board.task("PROJ-1")
    assert (undone.restored, [kept.why.split()[0] for kept in undone.kept]) == (1, ["title"])
    assert (task.title, task.assignee, list(task.labels)) == ("Eins", "ann", ["a"])
    assert task.status == board_pb2.TASK_STATUS_TODO


async def test_an_edit_that_was_taken_back_by_hand_does_not_count(board: MemoryBoard, tmp_path: Path) -> None:
    report = await bring(board, tmp_path, ROWS)
    board.edit("PROJ-1", title="Uno")
    board.edit("PROJ-1", title="One")
    board.delete("PROJ-2")
    board.undelete("PROJ-2")

    assert (await take_back(board, report)).deleted == 2


async def test_later_imports_are_taken_back_first(board: MemoryBoard, tmp_path: Path) -> None:
    first = await bring(board, tmp_path, ROWS)
    second = await bring(board, tmp_path, ROWS.replace("One", "Uno"))

    assert [kept.key for kept in (await take_back(board, first)).kept] == ["PROJ-1"]
    await take_back(board, second)
    assert (await take_back(board, first)).deleted == 1
    assert live(board) == set()


async def test_a_dry_run_says_the_same_and_changes_nothing(board: MemoryBoard, tmp_path: Path) -> None:
    report = await bring(board, tmp_path, ROWS)
    board.edit("PROJ-2", title="Two and a half")
    revision = board.board.revision

    dry = await take_back(board, report, dry_run=True)

    assert (dry.deleted, len(dry.kept), board.board.revision) == (1, 1, revision)
    assert dry.deleted == (await take_back(board, report)).deleted


async def test_what_an_undo_deleted_another_import_brings_back_as_the_file_has_it(
    board: MemoryBoard, tmp_path: Path
) -> None:
    report = await bring(board, tmp_path, ROWS)
    await take_back(board, report)

    again = await bring(board, tmp_path, ROWS.replace("One,To Do,a", "Uno,Closed,"))

    assert (again.created, again.restored, again.updated, again.notes) == (0, 2, 0, ())
    task = board.task("PROJ-1")
    assert (task.title, task.status, list(task.labels)) == ("Uno", board_pb2.TASK_STATUS_DONE, [])
    assert board.task("PROJ-2").parent == task.name
    assert (await bring(board, tmp_path, ROWS.replace("One,To Do,a", "Uno,Closed,"))).unchanged == 2
    assert (await take_back(board, again)).deleted == 2


async def test_what_somebody_deleted_stays_deleted(board: MemoryBoard, tmp_path: Path) -> None:
    report = await bring(board, tmp_path, ROWS)
    board.delete("PROJ-1")

    undone = await take_back(board, report)
    again = await bring(board, tmp_path, ROWS)

    assert (undone.deleted, undone.already) == (1, 1)
    assert (again.restored, live(board)) == (1, {"PROJ-2"})


async def test_an_unknown_token_is_said_to_be_unknown(board: MemoryBoard, tmp_path: Path) -> None:
    await bring(board, tmp_path, ROWS)

    with pytest.raises(NotFoundError, match="no task bears a trace"):
        await undo_import(board, ImportToken.new(0, random.Random(1)))


async def test_a_project_that_lives_on_another_node_is_left_out_and_named(board: MemoryBoard, tmp_path: Path) -> None:
    report = await bring(board, tmp_path, ROWS)
    await board.create_project("AWAY", "Elsewhere")
    board.elsewhere.add("AWAY")

    undone = await take_back(board, report)

    assert (undone.deleted, undone.elsewhere) == (2, ["AWAY"])


async def test_an_import_without_a_write_has_no_token(board: MemoryBoard, tmp_path: Path) -> None:
    await bring(board, tmp_path, ROWS)

    assert (await bring(board, tmp_path, ROWS)).undo == ""
    assert (await bring(board, tmp_path, "PROJ-3,Three,To Do,,\n", ImportOptions(dry_run=True))).undo == ""


async def test_the_token_is_known_before_an_import_breaks_off(board: MemoryBoard, tmp_path: Path) -> None:
    tokens: list[ImportToken] = []
    path = tmp_path / "jira.csv"
    path.write_text(HEADER + "".join(f"PROJ-{n},Task {n},To Do,,\n" for n in range(1, 600)))
    board.fail_after_batches = 1
    with pytest.raises(NoQuorumError):
        await run_import(board, path, TableSource(build_mapping("jira")), on_token=tokens.append)
    written = len(live(board))
    board.fail_after_batches = None

    undone = await undo_import(board, tokens[0])

    assert (written > 0, undone.deleted, live(board)) == (True, written, set())
