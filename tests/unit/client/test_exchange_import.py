"""Importing files into a board: what is made, what survives, and what stops everything."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.fakes.board_gateway import MemoryBoard

from weftmesh.board.v1 import board_pb2
from weftmesh.client.exchange.importer import BATCH_WRITES, ImportOptions, ImportReport, run_import
from weftmesh.client.exchange.mappings import build_mapping
from weftmesh.client.exchange.sources import TableSource
from weftmesh.core.errors import NoQuorumError
from weftmesh.core.exchange.planned import ImportRules

HEADER = "Issue key,Summary,Status,Priority,Labels,Labels,Parent,Story Points\n"
ROWS = (
    "PROJ-1,Parse the frame,In Progress,Blocker,radio,bug,,3\n"
    "PROJ-2,Check the CRC,Closed,,radio,,PROJ-1,1.5\n"
    "PROJ-7,Ship it,To Do,Low,,,PROJ-1,\n"
)


@pytest.fixture
def board() -> MemoryBoard:
    return MemoryBoard()


async def bring(board: MemoryBoard, folder: Path, text: str, options: ImportOptions | None = None) -> ImportReport:
    path = folder / "jira.csv"
    path.write_text(text, "utf-8", newline="")
    return await run_import(board, path, TableSource(build_mapping("jira")), options)


async def test_makes_tasks_with_their_keys_words_and_references(board: MemoryBoard, tmp_path: Path) -> None:
    report = await bring(board, tmp_path, HEADER + ROWS)

    assert (report.created, report.updated, report.problems, report.projects) == (3, 0, (), ("PROJ",))
    first, second = board.task("PROJ-1"), board.task("PROJ-2")
    assert first.status == board_pb2.TASK_STATUS_DOING
    assert first.priority == board_pb2.TASK_PRIORITY_URGENT
    assert sorted(first.labels) == ["bug", "radio"]
    assert first.origin == "jira:PROJ-1"
    assert first.custom["status"] == "In Progress"
    assert second.parent == first.name
    assert second.estimate == 1.5
    assert not board.task("PROJ-7").HasField("estimate")


async def test_a_second_import_changes_nothing(board: MemoryBoard, tmp_path: Path) -> None:
    await bring(board, tmp_path, HEADER + ROWS)
    writes = sum(board.batches)

    again = await bring(board, tmp_path, HEADER + ROWS)

    assert (again.created, again.updated, again.unchanged) == (0, 0, 3)
    assert sum(board.batches) == writes


async def test_an_edit_on_the_board_survives_and_a_change_in_the_file_arrives(
    board: MemoryBoard, tmp_path: Path
) -> None:
    await bring(board, tmp_path, HEADER + ROWS)
    board.edit("PROJ-1", title="Parse the frame, quickly")

    report = await bring(board, tmp_path, HEADER + ROWS.replace("In Progress", "Closed"))

    assert (report.updated, report.unchanged, report.notes) == (1, 2, ())
    assert board.task("PROJ-1").title == "Parse the frame, quickly"
    assert board.task("PROJ-1").status == board_pb2.TASK_STATUS_DONE


async def test_a_field_that_both_changed_stays_and_is_noted_until_somebody_decides(
    board: MemoryBoard, tmp_path: Path
) -> None:
    await bring(board, tmp_path, HEADER + ROWS)
    board.edit("PROJ-7", title="Ship it on Monday")
    changed = HEADER + ROWS.replace("Ship it", "Ship it on Friday")

    for _ in range(2):
        report = await bring(board, tmp_path, changed)
        assert [(note.line, note.column, note.value) for note in report.notes] == [(4, "title", "Ship it on Friday")]
        assert board.task("PROJ-7").title == "Ship it on Monday"

    await bring(board, tmp_path, changed, ImportOptions(rules=ImportRules(prefer_file=True)))
    assert board.task("PROJ-7").title == "Ship it on Friday"
    settled = await bring(board, tmp_path, changed)
    assert (settled.notes, settled.unchanged) == ((), 3)


async def test_a_cell_that_becomes_empty_clears_the_field(board: MemoryBoard, tmp_path: Path) -> None:
    await bring(board, tmp_path, HEADER + ROWS)

    await bring(board, tmp_path, HEADER + ROWS.replace("radio,,PROJ-1,1.5", ",,,"))

    task = board.task("PROJ-2")
    assert (list(task.labels), task.parent, task.HasField("estimate")) == ([], "", False)


async def test_a_deleted_task_stays_deleted(board: MemoryBoard, tmp_path: Path) -> None:
    await bring(board, tmp_path, HEADER + ROWS)
    board.delete("PROJ-7")

    report = await bring(board, tmp_path, HEADER + ROWS.replace("Ship it", "Ship it now"))

    assert board.task("PROJ-7").HasField("delete_time")
    assert (report.created, report.unchanged) == (0, 3)
    assert [note.message for note in report.notes] == ["deleted on the board, left so"]


async def test_one_bad_row_stops_everything_unless_bad_rows_are_skipped(board: MemoryBoard, tmp_path: Path) -> None:
    bad = HEADER + ROWS + "PROJ-8,Paint it,Frobnicated,,,,,\n"

    stopped = await bring(board, tmp_path, bad)
    assert (stopped.written, stopped.created, board.board.revision) == (False, 0, 0)
    (problem,) = stopped.problems
    assert (problem.line, problem.column, problem.value) == (5, "Status", "Frobnicated")
    assert "status:Frobnicated=" in problem.fix

    skipped = await bring(board, tmp_path, bad, ImportOptions(skip_bad=True))
    assert (skipped.created, skipped.skipped, len(board.tasks())) == (3, 1, 3)


async def test_a_dry_run_counts_and_writes_nothing(board: MemoryBoard, tmp_path: Path) -> None:
    report = await bring(board, tmp_path, HEADER + ROWS, ImportOptions(dry_run=True))

    assert (report.created, report.updated, report.written) == (3, 0, False)
    assert board.batches == []
    assert report.to_json()["created"] == 3


async def test_an_import_that_broke_off_goes_on(board: MemoryBoard, tmp_path: Path) -> None:
    count = BATCH_WRITES * 6 + 10
    text = "Issue key,Summary,Parent\n" + "".join(
        f"PROJ-{n},Task {n},{f'PROJ-{n // 2}' if n > 1 else ''}\n" for n in range(1, count + 1)
    )
    board.fail_after_batches = 3
    with pytest.raises(NoQuorumError):
        await bring(board, tmp_path, text)
    assert len(board.tasks()) == 3 * BATCH_WRITES

    board.fail_after_batches = None
    report = await bring(board, tmp_path, text)

    assert len(board.tasks()) == count
    assert report.created == count - 3 * BATCH_WRITES
    assert max(board.batches) <= BATCH_WRITES
    assert board.task(f"PROJ-{count}").parent == board.task(f"PROJ-{count // 2}").name
    assert (await bring(board, tmp_path, text)).unchanged == count


async def test_progress_ends_at_the_total(board: MemoryBoard, tmp_path: Path) -> None:
    path = tmp_path / "jira.csv"
    path.write_text(HEADER + ROWS, "utf-8")
    seen: list[tuple[int, int]] = []

    await run_import(
        board, path, TableSource(build_mapping("jira")), on_progress=lambda done, total: seen.append((done, total))
    )

    assert seen == [(3, 5), (5, 5)]


async def test_a_refused_write_is_reported_with_its_line(board: MemoryBoard, tmp_path: Path) -> None:
    report = await bring(board, tmp_path, "Issue key,Summary,Parent\nPROJ-1,One,PROJ-2\nPROJ-2,Two,PROJ-1\n")

    # Of two tasks above each other the board takes one.
    (problem,) = report.problems
    assert (problem.line, problem.value) in ((2, "jira:PROJ-1"), (3, "jira:PROJ-2"))
    assert "below this task" in problem.message
    assert (report.created, report.skipped, report.written) == (2, 1, True)


async def test_a_refusal_whose_cause_is_gone_does_not_come_again(board: MemoryBoard, tmp_path: Path) -> None:
    text = "Issue key,Summary,Parent\nPROJ-1,One,PROJ-2\nPROJ-2,Two,\n"
    await bring(board, tmp_path, text.replace("PROJ-2\nPROJ-2,Two,", "\nPROJ-2,Two,PROJ-1"))
    assert len((await bring(board, tmp_path, text.replace("Two,", "Two,PROJ-1"))).problems) == 1
    board.edit("PROJ-2", parent="")

    report = await bring(board, tmp_path, text.replace("Two,", "Two,PROJ-1"))

    assert report.problems == ()
    assert board.task("PROJ-1").parent == board.task("PROJ-2").name


async def test_a_deleted_project_takes_no_rows(board: MemoryBoard, tmp_path: Path) -> None:
    await bring(board, tmp_path, HEADER + ROWS)
    board.delete_project("PROJ")

    report = await bring(board, tmp_path, HEADER + ROWS)

    assert [problem.message for problem in report.problems] == ["the project is deleted on the board"] * 3
    assert not report.written


async def test_a_reference_to_nothing_is_kept_as_text(board: MemoryBoard, tmp_path: Path) -> None:
    report = await bring(board, tmp_path, "Issue key,Summary,Parent\nPROJ-1,One,OTHER-9\n")

    assert board.task("PROJ-1").custom["parent"] == "OTHER-9"
    assert [note.column for note in report.notes] == ["parent"]


async def test_a_reference_is_mended_once_the_other_task_is_there(board: MemoryBoard, tmp_path: Path) -> None:
    await bring(board, tmp_path, "Issue key,Summary,Parent\nPROJ-1,One,PROJ-9\n")

    report = await bring(board, tmp_path, "Issue key,Summary,Parent\nPROJ-1,One,PROJ-9\nPROJ-9,Nine,\n")

    assert (report.created, report.updated, report.notes) == (1, 1, ())
    assert board.task("PROJ-1").parent == board.task("PROJ-9").name
    assert "parent" not in board.task("PROJ-1").custom
