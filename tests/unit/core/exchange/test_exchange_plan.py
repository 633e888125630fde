"""The plan: who wins field by field, digests, and identifiers that follow from the row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weftmesh.core.board.model import DueAt, DueDate, FieldValue
from weftmesh.core.exchange.digests import Digests, task_id
from weftmesh.core.exchange.plan import DIGESTS_PATH, plan_import
from weftmesh.core.exchange.planned import ExistingTask, ImportPlan, ImportRules
from weftmesh.core.exchange.rows import ImportedTask, Seen
from weftmesh.core.ids import is_ulid, ulid_ms

ROW = ImportedTask(
    project_id="PROJ",
    project_title="Project",
    origin="jira:PROJ-1",
    number_hint=1,
    fields={"title": "One", "assignee": "ann", "custom.team": None},
    references={},
    aliases=("PROJ-1", "jira:PROJ-1"),
    line=2,
)


def plan(*rows: ImportedTask, existing: tuple[ExistingTask, ...] = (), prefer_file: bool = False) -> ImportPlan:
    rules = ImportRules(prefer_file=prefer_file)
    return plan_import(rows, existing, {"PROJ": True}, source="jira", file="jira.csv", rules=rules)


def on_board(fields: Mapping[str, FieldValue], row: ImportedTask = ROW) -> ExistingTask:
    """The task as the import of `row` made it, with `fields` changed since."""
    (created,) = plan(row).create
    return ExistingTask(
        name=f"projects/PROJ/tasks/{created.task_id}",
        key="PROJ-1",
        origin=created.origin,
        etag="v1",
        created="2026-01-01T00:00:00Z",
        deleted=False,
        fields=dict(created.fields) | dict(fields),
    )


def row_with(**fields: FieldValue) -> ImportedTask:
    return replace(ROW, fields=dict(ROW.fields) | fields)


@pytest.mark.parametrize(
    ("board", "file", "expected"),
    [
        ("ann", "ann", "nothing"),
        ("bob", "ann", "nothing"),  # only the board changed
        ("ann", "cid", "write"),  # only the file changed
        ("cid", "cid", "nothing"),  # both to the same
        ("bob", "cid", "note"),  # both, differently
        ("", "ann", "nothing"),  # cleared on the board
        ("ann", "", "write"),  # cleared in the file
        ("bob", "", "note"),
    ],
)
def test_who_wins_a_field(board: str, file: str, expected: str) -> None:
    result = plan(row_with(assignee=file), existing=(on_board({"assignee": board}),))

    written = [update.changes["assignee"] for update in result.update if "assignee" in update.changes]
    assert written == ([file] if expected == "write" else [])
    assert [note.column for note in result.notes] == (["assignee"] if expected == "note" else [])


def test_an_update_carries_what_it_changes_and_what_it_saw() -> None:
    task = on_board({"title": "Uno"})

    (update,) = plan(row_with(assignee="cid"), existing=(task,)).update

    assert set(update.changes) == {"assignee", DIGESTS_PATH}
    assert update.base == {"assignee": "ann", DIGESTS_PATH: task.fields[DIGESTS_PATH]}
    assert update.etag == "v1"


def test_a_column_that_is_new_in_the_file_fills_only_what_is_blank() -> None:
    task = on_board({"estimate": 2.0})

    result = plan(row_with(estimate=5.0, due=DueDate("2026-11-21")), existing=(task,))

    (update,) = result.update
    assert set(update.changes) == {"due", DIGESTS_PATH}
    assert [note.column for note in result.notes] == ["estimate"]


def test_a_column_that_left_the_file_changes_nothing() -> None:
    shorter = replace(ROW, fields={"title": "One"})

    result = plan(shorter, existing=(on_board({}),))

    assert (result.update, result.unchanged) == ((), 1)


def test_after_both_made_the_same_change_the_file_leads_again() -> None:
    task = on_board({"assignee": "cid"})
    (agreed,) = plan(row_with(assignee="cid"), existing=(task,)).update
    assert set(agreed.changes) == {DIGESTS_PATH}

    after = replace(task, fields=dict(task.fields) | dict(agreed.changes))
    (update,) = plan(row_with(assignee="dan"), existing=(after,)).update
    assert update.changes["assignee"] == "dan"


def test_another_trackers_digests_count_as_none() -> None:
    task = on_board({DIGESTS_PATH: "redmine:" + str(on_board({}).fields[DIGESTS_PATH]).partition(":")[2]})

    assert [note.column for note in plan(row_with(assignee="cid"), existing=(task,)).notes] == ["assignee"]


def test_an_export_of_this_board_is_merged_by_the_board_itself() -> None:
    task = replace(on_board({"title": "Uno"}), etag="v9")
    row = replace(row_with(assignee="cid"), seen=Seen("v1", task.created))

    (update,) = plan(row, existing=(task,)).update
    assert (update.etag, update.base, set(update.changes)) == ("v1", None, {"title", "assignee"})


def test_an_export_of_another_board_says_nothing_about_versions() -> None:
    row = replace(row_with(assignee="cid"), seen=Seen("v1", "2020-01-01T00:00:00Z"))

    (update,) = plan(row, existing=(replace(on_board({}), etag="v9"),)).update
    assert (update.etag, update.base is None) == ("v9", False)


def test_references_are_written_after_all_tasks_in_whatever_order_they_come() -> None:
    child = replace(ROW, references={"parent": ("PROJ-2",), "depends_on": ("77", "GONE-1")})
    parent = replace(ROW, origin="jira:PROJ-2", aliases=("PROJ-2", "jira:PROJ-2", "77"), number_hint=2, line=3)

    result = plan(child, parent)

    (update,) = result.update
    parent_name = f"projects/PROJ/tasks/{result.create[1].task_id}"
    assert update.changes["parent"] == parent_name
    assert update.changes["depends_on"] == frozenset({parent_name})
    assert update.of_new
    assert "parent" not in result.create[0].fields
    assert result.create[0].fields["custom.depends_on"] == "GONE-1"
    assert [(note.line, note.value) for note in result.notes] == [(2, "GONE-1")]


def test_a_key_twice_in_a_file_is_a_problem() -> None:
    result = plan(ROW, replace(ROW, line=9))

    assert len(result.create) == 1
    assert [(one.line, one.message) for one in result.problems] == [(9, "the same key as the row at line 2")]


def test_a_deleted_project_is_a_problem_and_a_missing_one_is_made() -> None:
    deleted = plan_import([ROW], (), {"PROJ": False}, source="jira", file="f")
    missing = plan_import([ROW], (), {}, source="jira", file="f")

    assert (len(deleted.problems), deleted.create) == (1, ())
    assert [(project.id, project.title) for project in missing.projects_to_create] == [("PROJ", "Project")]


def test_identifiers_follow_from_the_row() -> None:
    one = task_id("PROJ", "jira:PROJ-1", 1_700_000_000_000)

    assert is_ulid(one)
    assert ulid_ms(one) == 1_700_000_000_000
    assert one == task_id("PROJ", "jira:PROJ-1", 1_700_000_000_000) == "01HF7YAT009D02YTCYS911GECM"
    assert one != task_id("PROJ", "jira:PROJ-2", 1_700_000_000_000)
    assert one != task_id("OPS", "jira:PROJ-1", 1_700_000_000_000)


values = st.one_of(
    st.none(),
    st.text(),
    st.floats(allow_nan=False),
    st.integers(0, 5),
    st.frozensets(st.text()),
    st.builds(DueDate, st.dates().map(lambda day: day.isoformat())),
    st.builds(DueAt, st.integers(), st.text()),
)


@given(st.dictionaries(st.text(min_size=1).map(lambda key: f"custom.{key}"), values, max_size=64))
def test_digests_survive_storage(fields: dict[str, FieldValue]) -> None:
    digests = Digests("jira")
    for path, value in fields.items():
        digests.record(path, value)

    again = Digests.parse("jira", str(digests))
    assert all(again.matches(path, value) for path, value in fields.items())
    assert str(again) == str(digests)


@pytest.mark.parametrize("stored", ["", "jira", "jira:", "jira:%%%", "jira:AAAA", "other:AAAAAAAAAAA="])
def test_damaged_digests_count_as_none(stored: str) -> None:
    digests = Digests.parse("jira", stored)

    assert not digests
    assert digests.matches("title", "")
    assert not digests.matches("title", "One")
