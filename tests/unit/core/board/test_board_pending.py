"""Writes that wait for a quorum: what their writers saw, and what becomes of them when they are replayed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.core.board.writer import Writer, ulid

from weftmesh.core.board.commands import (
    Command,
    CreateProject,
    CreateTask,
    DeleteTask,
    Header,
    RevertTask,
    UpdateProject,
    UpdateTask,
)
from weftmesh.core.board.draft import Draft
from weftmesh.core.board.model import FieldValue, MergePolicy, Status, Task
from weftmesh.core.board.outcomes import Outcome, OutcomeKind
from weftmesh.core.board.pending import applied_change, as_queued, touched, written

ANN, BOB = "ann@n1", "bob@n2"


class Queue:
    """A queue over a board: commands are fixed when they are queued, and applied when they are replayed."""

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self.draft = Draft(writer.board)
        self.waiting: list[Command] = []

    def put(self, command: Command) -> Outcome:
        fixed = as_queued(command, self.writer.board, self.draft)
        self.waiting.append(fixed)
        return self.draft.lay(fixed)

    def set(
        self,
        task: Task,
        actor: str = ANN,
        version: int = 0,
        base: dict[str, FieldValue] | None = None,
        **changes: FieldValue,
    ) -> Outcome:
        return self.put(UpdateTask(self.writer.header(actor), task.id, changes, base or {}, version))

    def replay(self) -> list[OutcomeKind]:
        return [self.writer.apply(command).kind for command in self.waiting]


@pytest.fixture
def writer() -> Writer:
    return Writer()


def test_a_draft_shows_what_waits_and_leaves_the_board_alone(writer: Writer) -> None:
    task = writer.create("as made")
    before = writer.board.state_hash
    queue = Queue(writer)
    queue.set(task, title="waiting")

    laid = queue.draft.find_task(task.id)

    assert laid is not None
    assert laid.title == "waiting"
    assert queue.draft.find_task(task.key) is laid
    assert writer.task(task.id).title == "as made"
    assert writer.board.state_hash == before
    writer.board.check()


def test_what_is_made_in_the_queue_can_be_changed_there(writer: Writer) -> None:
    queue = Queue(writer)
    header = writer.header()
    assert queue.put(CreateProject(header, "NEW", "new")).ok
    assert queue.put(CreateTask(header, "NEW", ulid(7), {"title": "first"})).ok
    assert queue.put(CreateTask(header, "NEW", ulid(8), {"title": "second", "parent": ulid(7)}, origin="x:1")).ok
    assert queue.put(UpdateTask(header, ulid(7), {"title": "changed"})).ok
    twice = queue.draft.preview(CreateTask(header, "NEW", ulid(9), {"title": "again"}, origin="x:1"))

    assert twice.kind is OutcomeKind.ALREADY_EXISTS
    assert [task.key for task in map(queue.draft.find_task, (ulid(7), ulid(8))) if task] == ["NEW-1", "NEW-2"]
    assert queue.replay() == [OutcomeKind.APPLIED] * 4
    assert writer.task(ulid(7)).title == "changed"


def test_an_update_without_a_base_merges_with_what_others_do_until_the_replay(writer: Writer) -> None:
    task = writer.create("as made", labels=frozenset({"a"}))
    queue = Queue(writer)
    queue.set(task, title="mine", labels=frozenset({"a", "mine"}))
    writer.apply(UpdateTask(writer.header(BOB), task.id, {"status": Status.DOING, "labels": frozenset({"theirs"})}))

    assert queue.replay() == [OutcomeKind.APPLIED]

    merged = writer.task(task.id)
    assert (merged.title, merged.status) == ("mine", Status.DOING)
    assert merged.labels == {"mine", "theirs"}


def test_a_collision_is_stored_and_the_other_value_stays(writer: Writer) -> None:
    task = writer.create("as made")
    queue = Queue(writer)
    queue.set(task, title="mine", estimate=3.0)
    writer.apply(UpdateTask(writer.header(BOB), task.id, {"title": "theirs"}))

    assert queue.replay() == [OutcomeKind.STORED_CONFLICT]

    merged = writer.task(task.id)
    assert (merged.title, merged.estimate) == ("theirs", 3.0)
    (conflict,) = merged.conflicts
    (field,) = conflict.fields
    assert (field.base, field.yours, field.theirs, conflict.actor) == ("as made", "mine", "theirs", ANN)


def test_edits_of_one_person_in_a_row_do_not_collide(writer: Writer) -> None:
    task = writer.create("as made")
    queue = Queue(writer)
    seen: dict[str, FieldValue] = {"title": "as made"}
    queue.set(task, title="one", base=seen)
    queue.set(task, title="two", base=seen)  # the board that was read has none of the queue
    queue.set(task, title="three", version=task.version)

    assert queue.replay() == [OutcomeKind.APPLIED] * 3
    assert writer.task(task.id).title == "three"
    assert writer.task(task.id).conflicts == ()


def test_edits_of_two_people_on_one_node_collide_if_the_second_saw_none_of_the_first(writer: Writer) -> None:
    task = writer.create("as made")
    queue = Queue(writer)
    queue.set(task, ANN, title="ann's", base={"title": "as made"})
    queue.set(task, "eve@n1", title="eve's", base={"title": "as made"})

    assert queue.replay() == [OutcomeKind.APPLIED, OutcomeKind.STORED_CONFLICT]
    assert writer.task(task.id).title == "ann's"


def test_sets_keep_what_each_queued_edit_added(writer: Writer) -> None:
    task = writer.create("as made")
    queue = Queue(writer)
    seen: dict[str, FieldValue] = {"labels": frozenset()}
    queue.set(task, labels=frozenset({"one"}), base=seen)
    queue.set(task, labels=frozenset({"two"}), base=seen)

    assert queue.replay() == [OutcomeKind.APPLIED] * 2
    assert writer.task(task.id).labels == {"one", "two"}


@pytest.mark.parametrize("meddling", [False, True])
def test_deleting_after_an_own_edit_succeeds_unless_others_wrote(writer: Writer, meddling: bool) -> None:
    task = writer.create("as made")
    queue = Queue(writer)
    queue.set(task, title="one")
    queue.put(DeleteTask(writer.header(ANN), task.id, task.version))
    if meddling:
        writer.apply(UpdateTask(writer.header(BOB), task.id, {"status": Status.DOING}))

    last = OutcomeKind.COLLISION if meddling else OutcomeKind.APPLIED
    assert queue.replay() == [OutcomeKind.APPLIED, last]


def test_reverting_counts_what_the_writer_queued_before(writer: Writer) -> None:
    task = writer.create("as made")
    queue = Queue(writer)
    queue.set(task, title="one")
    assert queue.put(RevertTask(writer.header(ANN), task.id, 1, task.version)).ok
    assert queue.replay() == [OutcomeKind.APPLIED] * 2
    assert writer.task(task.id).title == "as made"


def test_a_project_that_refuses_stale_writes_refuses_them_after_the_replay_too() -> None:
    writer = Writer(policy=MergePolicy.REJECT)
    task = writer.create("as made")
    queue = Queue(writer)
    queue.set(task, title="one", version=task.version)
    queue.set(task, title="two", version=task.version)
    assert queue.replay() == [OutcomeKind.APPLIED] * 2

    stale = Queue(writer)
    now = writer.task(task.id)
    stale.set(now, title="three", version=now.version)
    writer.apply(UpdateTask(writer.header(BOB), task.id, {"status": Status.DOING}))
    assert stale.replay() == [OutcomeKind.COLLISION]


def test_the_later_wins_where_the_project_says_so_by_the_time_of_the_write() -> None:
    writer = Writer(policy=MergePolicy.LATEST)
    task = writer.create("as made")
    queue = Queue(writer)
    queue.set(task, title="queued first")
    writer.apply(UpdateTask(writer.header(BOB), task.id, {"title": "written later"}))

    assert queue.replay() == [OutcomeKind.APPLIED]

    assert writer.task(task.id).title == "written later"
    (field,) = writer.task(task.id).history[-1].fields
    assert (field.loser, field.loser_actor) == ("queued first", ANN)


def test_a_project_is_changed_twice_from_the_queue(writer: Writer) -> None:
    queue = Queue(writer)
    for title in ("one", "two"):
        queue.put(UpdateProject(writer.header(ANN), "PROJ", title, version=1))
    assert queue.replay() == [OutcomeKind.APPLIED] * 2


def test_a_version_that_this_node_has_not_seen_is_left_for_the_board_to_refuse(writer: Writer) -> None:
    task = writer.create("as made")
    assert Queue(writer).set(task, title="mine", version=99).kind is OutcomeKind.COLLISION


def test_an_applied_write_is_known_by_its_request_id_however_long_ago(writer: Writer) -> None:
    task = writer.create("as made")
    command = UpdateTask(replace(writer.header(), request_id=b"r" * 16), task.id, {"title": "once"})
    assert applied_change(writer.board, command) is None
    writer.apply(command)
    writer.update(writer.task(task.id), {"title": "later"})

    change = applied_change(writer.board, command)

    assert change is not None
    assert change.version == 2
    assert applied_change(writer.board, replace(command, header=Header(ANN, 1))) is None


def test_a_command_names_what_it_builds_on(writer: Writer) -> None:
    header = writer.header()
    create = CreateTask(header, "PROJ", ulid(1), {"title": "t", "parent": ulid(2), "depends_on": frozenset({ulid(3)})})
    assert written(create) == ulid(1)
    assert touched(create) == {"PROJ", ulid(1), ulid(2), ulid(3)}
    assert touched(UpdateTask(header, ulid(1), {"title": "t", "parent": ulid(2)})) == {ulid(1), ulid(2)}
    assert written(UpdateProject(header, "PROJ", "t")) == "PROJ"
    assert touched(DeleteTask(header, ulid(1))) == {ulid(1)}
