"""Two writers at one task: what merges, what collides, and that no value is lost without a record."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from tests.unit.core.board.writer import Writer

from weftmesh.core.board.commands import ResolveConflict
from weftmesh.core.board.model import Collision, FieldValue, Limits, MergePolicy, Priority, Status, Verb
from weftmesh.core.board.outcomes import OutcomeKind


def test_other_fields_merge_when_the_writer_names_only_the_version() -> None:
    writer = Writer()
    task = writer.create(description="old")
    writer.update(task, {"description": "new"})
    outcome = writer.update(task, {"title": "Better"}, version=1)
    assert outcome.kind is OutcomeKind.APPLIED
    assert (writer.task(task.id).title, writer.task(task.id).description) == ("Better", "new")


def test_the_same_field_collides_and_nothing_is_applied() -> None:
    writer = Writer()
    task = writer.create(title="One")
    writer.update(task, {"title": "Two"}, actor="bob@n2")
    outcome = writer.update(task, {"title": "Three", "assignee": "cy"}, version=1, actor="cy@n3")
    assert outcome.kind is OutcomeKind.COLLISION
    assert outcome.collisions == (Collision("title", "One", "Three", "Two", "bob@n2"),)
    assert outcome.mergeable_paths == ("assignee",)
    assert outcome.current_version == 2
    assert writer.task(task.id).assignee == ""
    assert writer.events == ()


def test_without_version_or_base_a_write_takes_what_is_there() -> None:
    writer = Writer()
    task = writer.create(title="One")
    writer.update(task, {"title": "Two"})
    assert writer.update(task, {"title": "Three"}).kind is OutcomeKind.APPLIED
    assert writer.task(task.id).title == "Three"


def test_an_explicit_base_goes_before_the_version() -> None:
    writer = Writer()
    task = writer.create(title="One")
    writer.update(task, {"title": "Two"})
    outcome = writer.update(task, {"title": "Three"}, base={"title": "Two"}, version=1)
    assert outcome.kind is OutcomeKind.APPLIED


@pytest.mark.parametrize(
    ("mine", "others", "merged"),
    [({"a", "b", "x"}, {"b", "c"}, {"b", "c", "x"}), ({"a"}, {"a", "b", "c"}, {"a", "c"}), (set(), {"a", "b"}, set())],
)
def test_sets_take_the_additions_and_removals_of_both(mine: set[str], others: set[str], merged: set[str]) -> None:
    writer = Writer()
    task = writer.create(labels=frozenset({"a", "b"}))
    writer.update(task, {"labels": frozenset(others)})
    assert writer.update(task, {"labels": frozenset(mine)}, version=1).ok
    assert writer.task(task.id).labels == merged


def test_each_custom_field_merges_on_its_own() -> None:
    writer = Writer()
    task = writer.create(custom_a="1", custom_b="1")
    writer.update(task, {"custom.a": "2"})
    assert writer.update(task, {"custom.b": None}, version=1).kind is OutcomeKind.APPLIED
    assert dict(writer.task(task.id).custom or {}) == {"a": "2"}


def test_agreeing_writers_change_nothing() -> None:
    writer = Writer()
    task = writer.create(title="One")
    writer.update(task, {"title": "Two"})
    outcome = writer.update(task, {"title": "Two"}, version=1)
    assert (outcome.kind, outcome.current_version) == (OutcomeKind.UNCHANGED, 2)
    assert outcome.revision == writer.board.revision == 3


def test_a_value_the_writer_did_not_change_does_not_undo_what_others_did() -> None:
    writer = Writer()
    task = writer.create(title="One")
    writer.update(task, {"title": "Two"})
    writer.update(task, {"title": "One", "assignee": "ann"}, base={"title": "One", "assignee": ""})
    assert (writer.task(task.id).title, writer.task(task.id).assignee) == ("Two", "ann")


def test_a_queued_write_merges_what_it_can_and_stores_the_rest() -> None:
    writer = Writer()
    task = writer.create(title="One")
    writer.update(task, {"title": "Two"})
    outcome = writer.update(task, {"title": "Three", "assignee": "cy"}, version=1, queued=True, actor="cy@n3")
    assert outcome.kind is OutcomeKind.STORED_CONFLICT
    now = writer.task(task.id)
    assert (now.title, now.assignee) == ("Two", "cy")
    assert now.conflicts[0].fields == (Collision("title", "One", "Three", "Two", "bob@n2"),)
    assert now.history[-1].verb is Verb.CONFLICT
    assert [(one.path, one.loser, one.loser_actor) for one in now.history[-1].fields] == [
        ("assignee", None, ""),
        ("title", "Three", "cy@n3"),
    ]
    assert writer.board.list_conflicts().conflicts == ((now, now.conflicts[0]),)


def conflicting(writer: Writer) -> str:
    task = writer.create(title="One", description="d1")
    writer.update(task, {"title": "Two", "description": "d2"})
    writer.update(task, {"title": "Three", "description": "d3"}, version=1, queued=True, actor="cy@n3")
    return task.id


def test_resolving_takes_the_waiting_values_that_were_chosen_and_records_the_rest() -> None:
    writer = Writer()
    task_id = conflicting(writer)
    writer.apply(ResolveConflict(writer.header("dee@n1"), task_id, 1, frozenset({"title"})))
    now = writer.task(task_id)
    assert (now.title, now.description, now.conflicts) == ("Three", "d2", ())
    description, title = now.history[-1].fields
    assert (title.before, title.after, title.loser, title.loser_actor) == ("Two", "Three", "Two", "bob@n2")
    assert (description.after, description.loser, description.loser_actor) == ("d2", "d3", "cy@n3")
    assert writer.board.list_conflicts().conflicts == ()


def test_resolving_refuses_what_is_not_in_conflict() -> None:
    writer = Writer()
    task_id = conflicting(writer)
    missing = writer.apply(ResolveConflict(writer.header(), task_id, 2))
    assert missing.kind is OutcomeKind.NOT_FOUND
    other = writer.apply(ResolveConflict(writer.header(), task_id, 1, frozenset({"assignee"})))
    assert other.kind is OutcomeKind.INVALID
    assert "assignee" in other.message


def test_conflicts_beyond_the_limit_are_refused_as_collisions() -> None:
    writer = Writer()
    task = writer.create(title="One")
    writer.update(task, {"title": "Two"})
    for number in range(Limits.OPEN_CONFLICTS):
        assert writer.update(task, {"title": f"Mine {number}"}, version=1, queued=True).ok
    outcome = writer.update(task, {"title": "Too much"}, version=1, queued=True)
    assert outcome.kind is OutcomeKind.COLLISION
    assert outcome.collisions[0].yours == "Too much"


def test_latest_keeps_the_later_stamp_whichever_comes_first() -> None:
    writer = Writer(policy=MergePolicy.LATEST)
    task = writer.create(title="One")
    writer.update(task, {"title": "Late"}, stamp=9_000, actor="bob@n2")
    writer.update(task, {"title": "Early", "assignee": "cy"}, version=1, stamp=8_000, actor="cy@n3")
    now = writer.task(task.id)
    assert (now.title, now.assignee) == ("Late", "cy")
    lost = now.history[-1].fields[1]
    assert (lost.path, lost.loser, lost.loser_actor) == ("title", "Early", "cy@n3")
    writer.update(task, {"title": "Latest"}, version=1, stamp=9_001, actor="dee@n1")
    won = writer.task(task.id).history[-1].fields[0]
    assert (won.after, won.loser, won.loser_actor) == ("Latest", "Late", "bob@n2")


def test_latest_breaks_a_tie_by_name_so_that_order_does_not_matter() -> None:
    def title_after(first: str, second: str) -> str:
        writer = Writer(policy=MergePolicy.LATEST)
        task = writer.create(title="One")
        for actor in (first, second):
            writer.update(task, {"title": f"by {actor}"}, version=1, stamp=9_000, actor=actor)
        return writer.task(task.id).title

    assert title_after("ann@n1", "bob@n2") == title_after("bob@n2", "ann@n1") == "by bob@n2"


def test_reject_refuses_any_change_since_the_version_seen() -> None:
    writer = Writer(policy=MergePolicy.REJECT)
    task = writer.create(title="One")
    writer.update(task, {"assignee": "ann"})
    outcome = writer.update(task, {"title": "Two"}, version=1)
    assert outcome.kind is OutcomeKind.COLLISION
    assert (outcome.collisions, outcome.mergeable_paths) == ((), ("title",))
    assert writer.update(task, {"title": "Two"}, version=2).kind is OutcomeKind.APPLIED


@pytest.mark.parametrize("queued", [False, True])
def test_reject_refuses_a_stale_base_and_stores_nothing(queued: bool) -> None:
    writer = Writer(policy=MergePolicy.REJECT)
    task = writer.create(title="One")
    writer.update(task, {"title": "Two"})
    outcome = writer.update(task, {"title": "Three"}, base={"title": "One"}, queued=queued)
    assert outcome.kind is OutcomeKind.COLLISION
    assert writer.task(task.id).conflicts == ()


def test_a_version_from_the_future_is_refused() -> None:
    writer = Writer()
    task = writer.create()
    outcome = writer.update(task, {"title": "Two"}, version=7)
    assert (outcome.kind, outcome.current_version) == (OutcomeKind.COLLISION, 1)


@pytest.mark.parametrize(
    ("path", "one", "two"),
    [("status", Status.DOING, Status.DONE), ("priority", Priority.LOW, Priority.HIGH), ("estimate", 1.0, 2.0)],
)
def test_every_single_valued_field_collides(path: str, one: FieldValue, two: FieldValue) -> None:
    writer = Writer()
    task = writer.create()
    writer.update(task, {path: one})
    outcome = writer.update(task, {path: two}, version=1)
    assert [collision.path for collision in outcome.collisions] == [path]


def test_merged_sets_stay_within_the_limit() -> None:
    writer = Writer()
    full = frozenset(f"label {number}" for number in range(Limits.SET_ITEMS))
    task = writer.create(labels=full - {"label 0"})
    writer.update(task, {"labels": full})
    wanted: Mapping[str, FieldValue] = {"labels": (full - {"label 0"}) | {"another"}}
    outcome = writer.update(task, wanted, version=1)
    assert outcome.kind is OutcomeKind.INVALID
    assert "labels" in outcome.message
