"""What holds for every log of commands, whatever writers do."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.core.board.random_logs import random_log

from weftmesh.core.board.commands import Command, UpdateTask
from weftmesh.core.board.history import value_at
from weftmesh.core.board.machine import Board
from weftmesh.core.board.model import SET_PATHS, FieldValue, Project, Task, Verb
from weftmesh.core.board.outcomes import CHANGED, Event, Outcome, OutcomeKind, ProjectChanged, TaskChanged
from weftmesh.core.board.reading import Cursor

logs = st.builds(random_log, st.integers(0, 2**32), st.integers(1, 6).map(lambda tens: tens * 10))
quick = settings(max_examples=40, deadline=None)


def test_random_logs_reach_every_verb_and_every_kind_of_outcome() -> None:
    verbs: set[Verb] = set()
    kinds: set[OutcomeKind] = set()
    for seed in range(100):
        board = Board()
        for command in random_log(seed, 60):
            kinds.add(board.apply(command)[0].kind)
        verbs |= {change.verb for task in board.freeze().tasks for change in task.history}
    assert verbs == set(Verb)
    assert kinds == set(OutcomeKind)


@quick
@given(logs)
def test_invariants_hold_and_a_revision_is_one_event(log: list[Command]) -> None:
    board = Board()
    for command in log:
        before = board.revision
        outcome, events = board.apply(command)
        board.check()
        assert [event.revision for event in events] == list(range(before + 1, board.revision + 1))
        assert len(events) <= (outcome.kind in CHANGED)
        assert bool(outcome.message) is not outcome.ok


@quick
@given(logs)
def test_a_preview_is_what_apply_answers(log: list[Command]) -> None:
    board = Board()
    for command in log:
        before = board.freeze()
        previewed = board.preview(command)
        assert board.freeze() == before
        assert board.apply(command)[0] == previewed


@quick
@given(logs, st.integers(0, 30))
def test_a_thawed_board_goes_on_as_the_frozen_one_would(log: list[Command], cut: int) -> None:
    board = Board()
    for command in log[:cut]:
        board.apply(command)
    replica = Board.thaw(board.freeze())
    for command in log[cut:]:
        assert board.apply(command) == replica.apply(command)
    replica.check()
    assert replica.freeze() == board.freeze()
    assert replica.state_hash == board.state_hash
    assert replica.events_since(replica.watch_floor) == board.events_since(board.watch_floor)


@quick
@given(logs)
def test_a_request_id_always_gets_its_first_answer(log: list[Command]) -> None:
    board = Board()
    first: dict[bytes, tuple[int, Outcome]] = {}
    for command in log:
        header = command.header
        outcome, events = board.apply(command)
        if header.request_id in first:
            digest, answer = first[header.request_id]
            assert events == ()
            assert outcome == answer if digest == header.request_digest else outcome.kind is OutcomeKind.REQUEST_REUSED
        elif header.request_id:
            first[header.request_id] = (header.request_digest, outcome)


@quick
@given(logs)
def test_every_past_version_of_a_task_and_a_project_can_be_read(log: list[Command]) -> None:
    board = Board()
    tasks: list[tuple[int, Task]] = []
    projects: list[tuple[int, Project]] = []
    events: list[Event] = []
    for command in log:
        events += board.apply(command)[1]
        tasks += [(board.revision, task) for task in board.freeze().tasks]
        projects += [(board.revision, project) for project in board.freeze().projects]
    for revision, task in tasks:
        now = board.find_task(task.id)
        assert now is not None
        assert board.task_at(now, revision) == task
        assert board.task_at(now, task.created_revision - 1) is None
    for revision, project in projects:
        present = board.project(project.id)
        assert present is not None
        past = board.project_at(present, revision)
        assert past is not None
        assert (past.title, past.merge_policy, past.deleted_stamp, past.version, past.history) == (
            project.title,
            project.merge_policy,
            project.deleted_stamp,
            project.version,
            project.history,
        )
    assert _comparable(board.events_since(0) or []) == _comparable(events)


def _comparable(events: list[Event]) -> list[object]:
    """Without the next number of a project, which is always the present one."""
    return [
        (event.revision, event.actor, event.stamp, event.project.version)
        if isinstance(event, ProjectChanged)
        else event
        for event in events
    ]


@quick
@given(logs, st.integers(0, 25), st.integers(1, 3), st.booleans())
def test_pages_of_one_revision_ignore_what_is_written_between_them(
    log: list[Command], cut: int, limit: int, show_deleted: bool
) -> None:
    board = Board()
    for command in log[:cut]:
        board.apply(command)
    revision = board.revision
    whole = board.list_tasks(show_deleted=show_deleted).tasks
    rest = iter(log[cut:])
    seen: list[Task] = []
    after: Cursor | None = None
    while True:
        page = board.list_tasks(
            after=after, limit=limit, at_revision=None if after else revision, show_deleted=show_deleted
        )
        seen += page.tasks
        after = page.next_cursor
        if after is None:
            break
        for command in (one for _, one in zip(range(3), rest, strict=False)):
            board.apply(command)
    for command in rest:
        board.apply(command)
    assert page.revision == revision or not revision
    if revision:
        assert tuple(seen) == whole
        assert board.list_tasks(at_revision=revision, show_deleted=show_deleted).tasks == whole


@quick
@given(logs)
def test_no_written_value_vanishes(log: list[Command]) -> None:
    board = Board()
    for command in log:
        outcome, events = board.apply(command)
        if isinstance(command, UpdateTask) and outcome.kind in CHANGED and events:
            event = events[0]
            assert isinstance(event, TaskChanged)
            for path, value in command.changes.items():
                assert _is_on_record(event, command, path, value), board.story(command.task_id)


def _is_on_record(event: TaskChanged, command: UpdateTask, path: str, value: FieldValue) -> bool:
    """Whether the value stands, was merged into a set, lost on record, or was no change of the writer's at all."""
    if event.task.value(path) == (value if value is not None or path.startswith("custom.") else event.task.value(path)):
        return True
    lost = [one.loser for one in event.task.history[-1].fields if one.path == path and one.loser_actor]
    if value in lost:
        return True
    assert event.before is not None
    seen = command.base.get(path, value_at(event.before, path, command.version) if command.version else None)
    if path in SET_PATHS and isinstance(value, frozenset) and isinstance(seen, frozenset):
        now = event.task.value(path)
        assert isinstance(now, frozenset)
        return value - seen <= now and not (seen - value) & now
    return value == seen
