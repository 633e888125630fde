"""What each command does and refuses; one example for each rule."""

from __future__ import annotations

import pytest
from tests.unit.core.board.writer import Writer, ulid

from weftmesh.core.board.commands import (
    ClaimTask,
    CreateProject,
    CreateTask,
    DeleteProject,
    DeleteTask,
    Header,
    RevertTask,
    UndeleteProject,
    UndeleteTask,
    UpdateProject,
)
from weftmesh.core.board.model import Limits, MergePolicy, Priority, Status, Verb
from weftmesh.core.board.outcomes import OutcomeKind, ProjectChanged, TaskChanged


def test_a_new_task_has_its_key_its_first_version_and_one_event() -> None:
    writer = Writer()
    task = writer.create("Fix it", assignee="ann", priority=3, estimate=2, custom_team="red")
    assert (task.key, task.version, task.revision, task.status) == ("PROJ-1", 1, 2, Status.TODO)
    assert (task.priority, task.estimate, dict(task.custom or {})) == (Priority.HIGH, 2.0, {"team": "red"})
    assert [change.verb for change in task.history] == [Verb.CREATE]
    assert task.history[0].fields == ()
    assert writer.events == (TaskChanged(2, task, None),)
    assert writer.last.current_version == 1


def test_an_import_keeps_its_numbers_where_they_are_free() -> None:
    writer = Writer()

    def number(task_id: int, hint: int) -> int:
        writer.apply(CreateTask(writer.header(), "PROJ", ulid(task_id), {"title": "t"}, number_hint=hint))
        return writer.task(ulid(task_id)).number

    assert [number(1, 12), number(2, 0), number(3, 12), number(4, 5)] == [12, 13, 14, 5]
    assert writer.task("PROJ-12").id == ulid(1)
    beyond = CreateTask(writer.header(), "PROJ", ulid(9), {"title": "t"}, number_hint=Limits.TASK_NUMBER + 1)
    assert writer.apply(beyond).kind is OutcomeKind.INVALID


def test_an_origin_is_imported_once() -> None:
    writer = Writer()
    for task_id, expected in ((1, OutcomeKind.APPLIED), (2, OutcomeKind.ALREADY_EXISTS)):
        command = CreateTask(writer.header(), "PROJ", ulid(task_id), {"title": "t"}, origin="jira:X-1")
        assert writer.apply(command).kind is expected
    assert (writer.last.subject, writer.last.current_version) == (ulid(1), 1)
    assert writer.board.task_by_origin("PROJ", "jira:X-1") == writer.task(ulid(1))


def test_a_task_id_is_used_once() -> None:
    writer = Writer()
    task = writer.create()
    outcome = writer.apply(CreateTask(writer.header(), "PROJ", task.id, {"title": "Other"}))
    assert outcome.kind is OutcomeKind.ALREADY_EXISTS
    assert "PROJ-1" in outcome.message


def test_claiming_has_one_winner() -> None:
    writer = Writer()
    task = writer.create()
    assert writer.apply(ClaimTask(writer.header(), task.id, "ann")).kind is OutcomeKind.APPLIED
    assert (writer.task(task.id).assignee, writer.task(task.id).status) == ("ann", Status.DOING)
    assert writer.apply(ClaimTask(writer.header(), task.id, "ann")).kind is OutcomeKind.UNCHANGED
    late = writer.apply(ClaimTask(writer.header(), task.id, "bob"))
    assert late.kind is OutcomeKind.PRECONDITION
    assert "'ann'" in late.message


@pytest.mark.parametrize("status", [Status.DONE, Status.CANCELLED])
def test_a_closed_task_is_not_claimed(status: Status) -> None:
    writer = Writer()
    task = writer.create(status=status, assignee="ann")
    assert writer.apply(ClaimTask(writer.header(), task.id, "ann")).kind is OutcomeKind.PRECONDITION


def test_reverting_sets_every_field_back_and_history_keeps_both() -> None:
    writer = Writer()
    task = writer.create("One", labels=frozenset({"a"}), custom_x="1")
    writer.update(task, {"title": "Two", "labels": frozenset({"b"}), "custom.x": None, "custom.y": "2"})
    outcome = writer.apply(RevertTask(writer.header(), task.id, to_version=1, version=2))
    now = writer.task(task.id)
    assert (outcome.kind, now.version, now.title, now.labels) == (OutcomeKind.APPLIED, 3, "One", frozenset({"a"}))
    assert dict(now.custom or {}) == {"x": "1"}
    assert ("title", "Two", "One") in [(one.path, one.before, one.after) for one in now.history[-1].fields]
    assert writer.apply(RevertTask(writer.header(), task.id, to_version=1)).kind is OutcomeKind.UNCHANGED
    assert writer.apply(RevertTask(writer.header(), task.id, to_version=9)).kind is OutcomeKind.NOT_FOUND


def test_deleting_and_undeleting_refuse_a_stale_version_and_are_idempotent() -> None:
    writer = Writer()
    task = writer.create()
    writer.update(task, {"title": "Two"})
    assert writer.apply(DeleteTask(writer.header(), task.id, version=1)).kind is OutcomeKind.COLLISION
    assert writer.apply(DeleteTask(writer.header(), task.id, version=2)).kind is OutcomeKind.APPLIED
    assert writer.apply(DeleteTask(writer.header(), task.id, version=2)).kind is OutcomeKind.UNCHANGED
    assert writer.update(task, {"title": "Three"}).kind is OutcomeKind.PRECONDITION
    assert "undelete" in writer.last.message
    assert writer.board.count_tasks("PROJ") == writer.board.task_count == 0
    assert writer.apply(UndeleteTask(writer.header(), task.id)).kind is OutcomeKind.APPLIED
    assert writer.apply(UndeleteTask(writer.header(), task.id)).kind is OutcomeKind.UNCHANGED
    assert writer.board.count_tasks("PROJ") == 1


def test_a_deleted_project_hides_its_tasks_and_refuses_writes_to_them() -> None:
    writer = Writer()
    task = writer.create()
    assert writer.apply(DeleteProject(writer.header(), "PROJ", version=1)).kind is OutcomeKind.APPLIED
    for command in (
        CreateTask(writer.header(), "PROJ", ulid(9), {"title": "t"}),
        ClaimTask(writer.header(), task.id, "ann"),
        DeleteTask(writer.header(), task.id),
        UndeleteTask(writer.header(), task.id),
        UpdateProject(writer.header(), "PROJ", title="New"),
    ):
        assert writer.apply(command).kind is OutcomeKind.PRECONDITION
    assert writer.board.list_tasks().tasks == ()
    assert writer.board.list_tasks(show_deleted=True).tasks == (task,)
    assert writer.apply(UndeleteProject(writer.header(), "PROJ")).kind is OutcomeKind.APPLIED
    assert writer.board.list_tasks("PROJ").tasks == (task,)


def test_a_project_is_changed_by_who_saw_its_version() -> None:
    writer = Writer()
    before = writer.board.project("PROJ")
    outcome = writer.apply(UpdateProject(writer.header(), "PROJ", title="New", version=1))
    after = writer.board.project("PROJ")
    assert after is not None
    assert (outcome.kind, after.title, after.version) == (OutcomeKind.APPLIED, "New", 2)
    assert writer.events == (ProjectChanged(2, after, before, "ann@n1", after.updated_stamp),)
    stale = writer.apply(UpdateProject(writer.header(), "PROJ", merge_policy=MergePolicy.LATEST, version=1))
    assert (stale.kind, stale.current_version) == (OutcomeKind.COLLISION, 2)
    assert writer.apply(UpdateProject(writer.header(), "PROJ", title="New")).kind is OutcomeKind.UNCHANGED
    assert writer.apply(CreateProject(writer.header(), "PROJ", "x")).kind is OutcomeKind.ALREADY_EXISTS


@pytest.mark.parametrize(
    ("project_id", "home"),
    [("x", "mesh"), ("P", "mesh"), ("1P", "mesh"), ("P" * 17, "mesh"), ("OK", "node:"), ("OK", "")],
)
def test_a_project_needs_an_id_and_a_home(project_id: str, home: str) -> None:
    writer = Writer()
    assert writer.apply(CreateProject(writer.header(), project_id, "t", home)).kind is OutcomeKind.INVALID


def test_parents_never_run_in_a_circle() -> None:
    writer = Writer()
    top = writer.create()
    middle = writer.create(parent=top.id)
    low = writer.create(parent=middle.id)
    assert writer.update(top, {"parent": low.id}).kind is OutcomeKind.PRECONDITION
    assert writer.update(top, {"parent": top.id}).kind is OutcomeKind.INVALID
    assert writer.update(low, {"parent": top.id}).kind is OutcomeKind.APPLIED
    assert writer.update(low, {"parent": ulid(99)}).kind is OutcomeKind.PRECONDITION


def test_dependencies_never_run_in_a_circle() -> None:
    writer = Writer()
    first = writer.create()
    second = writer.create(depends_on=frozenset({first.id}))
    third = writer.create(depends_on=frozenset({second.id}))
    outcome = writer.update(first, {"depends_on": frozenset({third.id})})
    assert outcome.kind is OutcomeKind.PRECONDITION
    assert "PROJ-2 already waits for PROJ-1" in outcome.message
    assert writer.update(third, {"depends_on": frozenset({first.id, second.id})}).kind is OutcomeKind.APPLIED
    assert writer.update(third, {"depends_on": frozenset({third.id})}).kind is OutcomeKind.INVALID


def test_reverting_does_not_bring_a_circle_back() -> None:
    writer = Writer()
    first = writer.create()
    second = writer.create(depends_on=frozenset({first.id}))
    writer.update(second, {"depends_on": frozenset[str]()})
    writer.update(first, {"depends_on": frozenset({second.id})})
    assert writer.apply(RevertTask(writer.header(), second.id, to_version=1)).kind is OutcomeKind.PRECONDITION


def test_a_retry_gets_the_first_answer_and_changes_nothing() -> None:
    writer = Writer()
    request_id = bytes(range(16))
    command = CreateTask(Header("ann@n1", 5, request_id, 77), "PROJ", ulid(1), {"title": "t"})
    first = writer.apply(command)
    state_hash = writer.board.state_hash
    assert writer.apply(command) == first
    assert writer.events == ()
    assert writer.board.preview(command) == first
    assert writer.board.state_hash == state_hash
    other = CreateTask(Header("ann@n1", 6, request_id, 78), "PROJ", ulid(3), {"title": "t"})
    assert writer.apply(other).kind is OutcomeKind.REQUEST_REUSED


def test_a_refusal_is_remembered_too() -> None:
    writer = Writer()
    header = Header("ann@n1", 5, bytes(16), 1)
    refused = writer.apply(ClaimTask(header, ulid(1), "ann"))
    assert refused.kind is OutcomeKind.NOT_FOUND
    writer.create()
    assert writer.apply(ClaimTask(header, ulid(1), "ann")) == refused


def test_a_preview_changes_nothing() -> None:
    writer = Writer()
    command = CreateTask(writer.header(), "PROJ", ulid(1), {"title": "t"})
    before = writer.board.freeze()
    previewed = writer.board.preview(command)
    assert writer.board.freeze() == before
    assert writer.apply(command) == previewed


@pytest.mark.parametrize(
    "header", [Header("", 5), Header("a\nb", 5), Header("ann", 0), Header("ann", 2**64), Header("ann", 5, b"short")]
)
def test_a_header_says_who_and_when(header: Header) -> None:
    writer = Writer()
    assert writer.apply(UndeleteProject(header, "PROJ")).kind is OutcomeKind.INVALID


def test_a_story_names_writers_values_and_losers() -> None:
    writer = Writer(policy=MergePolicy.LATEST)
    task = writer.create("One")
    writer.update(task, {"title": "Two"}, stamp=9_000)
    writer.update(task, {"title": "Three"}, version=1, stamp=9_001, actor="cy@n3")
    story = writer.board.story("PROJ-1")
    assert "title: 'One' -> 'Two'" in story
    assert "title: 'Two' -> 'Three'; lost 'Two' of bob@n2" in story
    assert "no such task" in writer.board.story("PROJ-2")
