"""A board survives its snapshot unchanged, and a damaged snapshot is refused."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes import strategies

from weftmesh.board.v1.command_pb2 import BoardRow
from weftmesh.core.board.model import Change, FieldChange, Priority, Status, Task, Verb
from weftmesh.core.board.state import BoardState
from weftmesh.core.errors import DataCorruptionError
from weftmesh.runtime.wire.snapshot_rows import rows_of, state_from_rows

EMPTY = BoardState(0, 0, bytes(16), 0, 0, (), (), (), ())
TASK = Task(
    id="01ARZ3NDEKTSV4RRFFQ69G5FAV",
    project_id="PROJ",
    number=1,
    version=1,
    revision=5,
    title="Fix the watchdog",
    history=(Change(1, 5, Verb.CREATE, "ann@node1", 7 << 16, b""),),
)


@settings(max_examples=40, deadline=None)
@given(strategies.states)
def test_a_state_comes_back_as_it_was(state: BoardState) -> None:
    restored = state_from_rows(rows_of(state))
    assert replace(restored, tasks=()) == replace(state, tasks=())
    for after, before in zip(restored.tasks, state.tasks, strict=True):
        assert dict(after.custom or {}) == (before.custom or {})
        assert replace(after, custom=None) == replace(before, custom=None)


@settings(max_examples=40, deadline=None)
@given(strategies.states)
def test_a_restored_state_makes_the_same_rows(state: BoardState) -> None:
    rows = list(rows_of(state))
    assert list(rows_of(state_from_rows(rows))) == rows


def test_restored_tasks_have_enums_and_share_what_they_have_in_common() -> None:
    task = replace(TASK, status=Status.DOING, assignee="ann", updated_by="ann", custom={"team": "core"})
    other = replace(task, id="01ARZ3NDEKTSV4RRFFQ69G5FAW", number=2)
    first, second = state_from_rows(rows_of(replace(EMPTY, tasks=(task, other)))).tasks
    assert isinstance(first.status, Status)
    assert first.assignee is second.assignee is first.updated_by
    assert first.project_id is second.project_id
    assert first.revision is first.history[0].revision
    assert next(iter(first.custom or {})) is next(iter(second.custom or {}))


@pytest.mark.parametrize("estimate", [0.0, -0.0, 1.0, None])
def test_an_estimate_keeps_its_sign_and_type(estimate: float | None) -> None:
    tasks = tuple(replace(TASK, id=f"{number:026}", estimate=one) for number, one in enumerate([0.0, -0.0, estimate]))
    restored = state_from_rows(rows_of(replace(EMPTY, tasks=tasks)))
    assert [repr(task.estimate) for task in restored.tasks] == ["0.0", "-0.0", repr(estimate)]


def test_values_of_a_change_that_look_equal_stay_apart() -> None:
    fields = (
        FieldChange("status", Status.BLOCKED, Status.DONE),
        FieldChange("priority", Priority.HIGH, Priority.URGENT),
        FieldChange("estimate", 3.0, 0.0),
        FieldChange("estimate", -0.0, None),
        FieldChange("title", "", "3"),
    )
    task = replace(TASK, history=(replace(TASK.history[0], fields=fields),))
    (restored,) = state_from_rows(rows_of(replace(EMPTY, tasks=(task,)))).tasks
    assert repr(restored.history[0].fields) == repr(fields)


def test_many_tasks_with_long_histories_are_cut_into_rows_of_some_size() -> None:
    edit = FieldChange("description", "a" * 60_000, "b" * 60_000)
    history = tuple(Change(number, number, Verb.UPDATE, "ann@node1", number, b"", (edit,)) for number in range(1, 101))
    tasks = tuple(
        replace(
            TASK, id=f"{number:026}", description=f"{number}" * 400, history=history if number == 7 else TASK.history
        )
        for number in range(1, 1_201)
    )
    rows = list(rows_of(replace(EMPTY, tasks=tasks)))
    assert len(rows) < 80
    assert max(map(len, rows)) < 4 << 20
    assert state_from_rows(rows).tasks == tasks


@given(st.lists(st.binary(max_size=60), max_size=3))
def test_hostile_rows_are_refused_and_nothing_worse(rows: list[bytes]) -> None:
    with suppress(DataCorruptionError):
        state_from_rows([*rows_of(EMPTY), *rows])


@settings(max_examples=40, deadline=None)
@given(strategies.states, st.data())
def test_a_damaged_row_is_refused_or_read_and_nothing_worse(state: BoardState, data: st.DataObject) -> None:
    rows = [bytearray(row) for row in rows_of(state)]
    row = data.draw(st.sampled_from(rows))
    row[data.draw(st.integers(0, len(row) - 1))] ^= data.draw(st.integers(1, 255))
    with suppress(DataCorruptionError):
        state_from_rows(bytes(row) for row in rows)


def test_the_header_comes_first_and_once() -> None:
    header = next(rows_of(EMPTY))
    project = BoardRow()
    project.project.project_id = "PROJ"
    for rows in ([], [project.SerializeToString(), header], [header, header]):
        with pytest.raises(DataCorruptionError, match="restore the node"):
            state_from_rows(rows)


def damaged(change: Callable[[BoardRow], None]) -> list[bytes]:
    """The rows of a state of one task, `change` applied to each of them."""
    rows = [
        BoardRow.FromString(row) for row in rows_of(replace(EMPTY, tasks=(replace(TASK, custom={"team": "core"}),)))
    ]
    for row in rows:
        change(row)
    return [row.SerializeToString() for row in rows]


COLUMNS = [
    "task_ids", "titles", "descriptions", "origins", "numbers", "versions", "revisions", "statuses", "priorities",
    "created_stamps", "updated_stamps", "deleted_stamps", "next_conflict_numbers", "change_counts", "projects",
    "assignees", "updated_by", "parents", "labels", "depends_on", "estimates", "due", "custom_keys", "custom_values",
]  # fmt: skip


@pytest.mark.parametrize("column", COLUMNS)
def test_a_column_that_is_too_short_or_too_long_is_refused(column: str) -> None:
    def drop(row: BoardRow) -> None:
        if row.WhichOneof("kind") == "tasks":
            getattr(row.tasks, column).pop()

    def repeat(row: BoardRow) -> None:
        if row.WhichOneof("kind") == "tasks":
            getattr(row.tasks, column).append(getattr(row.tasks, column)[0])

    for change in (drop, repeat):
        with pytest.raises(DataCorruptionError, match=r"row 3.*restore the node"):
            state_from_rows(damaged(change))


@pytest.mark.parametrize(
    "column", ["statuses", "priorities", "projects", "assignees", "labels", "estimates", "due", "custom_keys"]
)
def test_a_place_that_no_table_has_is_refused(column: str) -> None:
    def misplace(row: BoardRow) -> None:
        if row.WhichOneof("kind") == "tasks":
            getattr(row.tasks, column)[0] = 99

    with pytest.raises(DataCorruptionError, match=r"row 3.*restore the node"):
        state_from_rows(damaged(misplace))


def test_custom_keys_that_repeat_are_refused() -> None:
    def repeat(row: BoardRow) -> None:
        if row.WhichOneof("kind") == "tasks":
            row.tasks.key_sets[0].items.append("team")

    with pytest.raises(DataCorruptionError, match="custom keys"):
        state_from_rows(damaged(repeat))


def test_changes_that_belong_to_nobody_are_refused() -> None:
    rows = list(rows_of(replace(EMPTY, tasks=(TASK,))))
    with pytest.raises(DataCorruptionError, match="1 changes belong to no task"):
        state_from_rows([*rows, rows[1]])


def test_a_task_without_history_is_refused() -> None:
    rows = rows_of(replace(EMPTY, tasks=(replace(TASK, history=()),)))
    with pytest.raises(DataCorruptionError, match="no history"):
        state_from_rows(rows)
