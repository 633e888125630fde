"""Reads at a revision, what is kept for watchers and retries, and the state hash."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.core.board.random_logs import random_log
from tests.unit.core.board.writer import Writer, ulid

from weftmesh.core.board.commands import CreateProject, CreateTask, DeleteProject, UpdateProject
from weftmesh.core.board.machine import Board
from weftmesh.core.board.model import Collision, Limits
from weftmesh.core.board.outcomes import Outcome, OutcomeKind, TaskChanged
from weftmesh.core.board.reading import Cursor
from weftmesh.core.board.requests import RequestMemory
from weftmesh.core.errors import InvalidInputError, OutOfRangeError


def test_tasks_of_all_projects_come_in_the_order_they_were_made() -> None:
    writer = Writer()
    writer.apply(CreateProject(writer.header(), "OTHER", "Other"))
    made = [writer.create(project_id=project_id) for project_id in ("PROJ", "OTHER", "PROJ")]
    assert writer.board.list_tasks().tasks == tuple(made)
    assert writer.board.list_tasks("OTHER").tasks == (made[1],)
    assert writer.board.list_tasks("NONE").tasks == ()
    assert [writer.board.count_tasks(one) for one in ("PROJ", "OTHER", "NONE")] == [2, 1, 0]


def test_a_predicate_sees_the_task_as_it_was() -> None:
    writer = Writer()
    task = writer.create("One")
    revision = writer.board.revision
    writer.update(task, {"title": "Two"})
    found = writer.board.list_tasks(predicate=lambda one: one.title == "One", at_revision=revision)
    assert found.tasks == (task,)
    assert writer.board.list_tasks(predicate=lambda one: one.title == "One").tasks == ()


def test_a_page_ends_where_the_scan_limit_is_and_the_next_goes_on() -> None:
    writer = Writer()
    made = [writer.create(f"Task {number}") for number in range(5)]
    first = writer.board.list_tasks(predicate=lambda task: task.number > 3, scan_limit=3)
    assert first.tasks == ()
    assert first.next_cursor is not None
    second = writer.board.list_tasks(predicate=lambda task: task.number > 3, scan_limit=3, after=first.next_cursor)
    assert second.tasks == tuple(made[3:])
    assert second.next_cursor is None


def test_projects_are_listed_at_a_revision() -> None:
    writer = Writer()
    writer.apply(CreateProject(writer.header(), "OTHER", "Other"))
    revision = writer.board.revision
    writer.apply(UpdateProject(writer.header(), "PROJ", title="Renamed"))
    writer.apply(DeleteProject(writer.header(), "OTHER"))
    first = writer.board.list_projects(limit=1, at_revision=revision)
    second = writer.board.list_projects(limit=1, after=first.next_cursor)
    assert [project.title for project in first.projects + second.projects] == ["Project", "Other"]
    assert second.next_cursor is None
    assert [project.id for project in writer.board.list_projects().projects] == ["PROJ"]
    assert [project.id for project in writer.board.list_projects(show_deleted=True).projects] == ["PROJ", "OTHER"]


def test_conflicts_are_listed_page_by_page() -> None:
    writer = Writer()
    tasks = [writer.create("One"), writer.create("One")]
    for task in tasks:
        writer.update(task, {"title": "Two"})
        for title in ("Three", "Four"):
            writer.update(task, {"title": title}, version=1, queued=True)
    seen: list[tuple[str, int]] = []
    after: Cursor | None = None
    while True:
        page = writer.board.list_conflicts("PROJ", after=after, limit=3)
        seen += [(task.key, conflict.number) for task, conflict in page.conflicts]
        after = page.next_cursor
        if after is None:
            break
    assert seen == [("PROJ-1", 1), ("PROJ-1", 2), ("PROJ-2", 1), ("PROJ-2", 2)]
    assert len(writer.board.list_conflicts(task_id=tasks[1].id).conflicts) == 2
    assert writer.board.list_conflicts("NONE").conflicts == ()


def test_a_page_says_what_is_wrong_with_its_request() -> None:
    board = Writer().board
    with pytest.raises(InvalidInputError, match="page size: 0"):
        board.list_tasks(limit=0)
    with pytest.raises(OutOfRangeError, match="revision 2 is not reached"):
        board.list_tasks(at_revision=2)
    with pytest.raises(InvalidInputError, match="leave at_revision out"):
        board.list_tasks(after=Cursor(1, 1), at_revision=3)


@pytest.mark.parametrize("ref", ["PROJ-01", "PROJ-0", "proj-1", "PROJ-2", "NONE-1", "PROJ-1\n", "", ulid(7)])
def test_only_an_exact_key_or_id_finds_a_task(ref: str) -> None:
    writer = Writer()
    task = writer.create()
    assert writer.board.find_task(ref) is None
    assert writer.board.find_task("PROJ-1") == writer.board.find_task(task.id) == task


def test_events_are_kept_up_to_the_limit_and_rebuilt_from_history() -> None:
    writer = Writer()
    board = writer.board
    task = writer.create("Title 0")
    for number in range(1, 40):
        writer.update(task, {"title": f"Title {number}"})
    events = board.events_since(2, "PROJ")
    assert events is not None
    titles = [(e.task.title, e.before.title) for e in events if isinstance(e, TaskChanged) and e.before is not None]
    assert titles == [(f"Title {number}", f"Title {number - 1}") for number in range(1, 40)]
    assert board.events_since(2, "NONE") == []
    assert board.events_since(2, limit=3) == events[:3]
    assert board.events_since(board.revision) == []


def test_a_watcher_that_is_too_late_is_told() -> None:
    writer = Writer()
    header = writer.header()
    for number in range(Limits.WATCH_EVENTS + 1):
        writer.board.apply(CreateTask(header, "PROJ", ulid(number), {"title": "t"}))
    for board in (writer.board, Board.thaw(writer.board.freeze())):
        assert board.watch_floor == 2
        assert board.events_since(1) is None
        assert [event.revision for event in board.events_since(2, limit=2) or []] == [3, 4]


def outcome(revision: int, text: str = "") -> Outcome:
    collisions = (Collision("description", "", text, "", "ann@n1"),) if text else ()
    return Outcome(OutcomeKind.COLLISION if text else OutcomeKind.APPLIED, revision, collisions=collisions)


def test_requests_are_forgotten_by_age_in_revisions() -> None:
    memory = RequestMemory()
    memory.remember(b"a" * 16, 1, outcome(1), 1)
    memory.remember(b"b" * 16, 1, outcome(2), 2)
    memory.forget_old(1 + Limits.REQUESTS_REMEMBERED)
    assert [entry.request_id for entry in memory] == [b"a" * 16, b"b" * 16]
    memory.forget_old(2 + Limits.REQUESTS_REMEMBERED)
    assert [entry.request_id for entry in memory] == [b"b" * 16]


def test_requests_are_forgotten_by_count() -> None:
    memory = RequestMemory()
    count = Limits.REQUESTS_REMEMBERED + 2
    hashes = [memory.remember(number.to_bytes(16, "big"), 1, outcome(1), 1) for number in range(count)]
    assert memory.forget_old(1) == hashes[0] + hashes[1]
    assert len(memory) == Limits.REQUESTS_REMEMBERED
    assert next(iter(memory)).request_id[-1] == 2


def test_requests_with_much_text_go_sooner() -> None:
    text = "x" * (Limits.REQUEST_TEXT_CHARACTERS // 2 - len("description"))
    memory = RequestMemory()
    for number in range(3):
        memory.remember(bytes([number]) * 16, 1, outcome(1, text), 1)
    memory.forget_old(1)
    assert [entry.request_id[0] for entry in memory] == [1, 2]
    assert not RequestMemory(memory).is_beyond_limits(1)


def test_requests_with_many_paths_go_sooner() -> None:
    paths = tuple(f"custom.{number:0{Limits.NAME_CHARACTERS}}" for number in range(Limits.PATHS_PER_WRITE))
    count = Limits.REQUEST_TEXT_CHARACTERS // sum(map(len, paths))
    memory = RequestMemory()
    for number in range(count + 1):
        refused = Outcome(OutcomeKind.COLLISION, 1, mergeable_paths=paths)
        memory.remember(number.to_bytes(16, "big"), 1, refused, 1)
    memory.forget_old(1)
    assert len(memory) == count


def test_the_state_hash_is_the_same_in_every_process() -> None:
    board = Board()
    for command in random_log(7, 120):
        board.apply(command)
    board.check()
    assert (board.revision, board.state_hash) == (40, "8c3949ac7eee67f6cf114dac8dbd2fdf")


def test_a_board_without_rows_has_the_empty_sum() -> None:
    board = Board()
    board.check()
    assert board.state_hash == "0" * 32
    assert board.freeze() == Board.thaw(board.freeze()).freeze()


def test_check_finds_a_hash_that_is_not_of_the_rows() -> None:
    writer = Writer()
    writer.create()
    with pytest.raises(AssertionError, match="state hash"):
        Board.thaw(replace(writer.board.freeze(), state_hash=bytes(16))).check()


def test_check_finds_a_row_that_is_not_as_it_was_written() -> None:
    writer = Writer()
    task = writer.create("One")
    forged = replace(task, title="Two")
    with pytest.raises(AssertionError, match="state hash"):
        Board.thaw(replace(writer.board.freeze(), tasks=(forged,))).check()
