"""A board survives its snapshot unchanged, and a damaged snapshot is refused."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes import strategies

from weftmesh.board.v1.command_pb2 import BoardRow
from weftmesh.core.board.model import Change, Status, Task, Verb
from weftmesh.core.board.state import BoardState
from weftmesh.core.errors import DataCorruptionError
from weftmesh.runtime.wire.snapshot_rows import rows_of, state_from_rows
from weftmesh.runtime.wire.task_rows import decode_task, encode_task

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


def test_a_decoded_task_has_enums_and_shares_its_short_texts() -> None:
    row = BoardRow().task
    encode_task(replace(TASK, status=Status.DOING, assignee="ann", updated_by="ann"), row)
    first, second = decode_task(row), decode_task(row)
    assert isinstance(first.status, Status)
    assert first.assignee is second.assignee is first.updated_by
    assert first.project_id is second.project_id


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


@pytest.mark.parametrize(
    ("field", "number"), [("status", 99), ("title", 1), ("labels", 1), ("custom.k", 1), ("nonsense", 1)]
)
def test_a_task_field_that_holds_what_it_cannot_is_refused(field: str, number: int) -> None:
    row = BoardRow()
    encode_task(TASK, row.task)
    kept = [entry for entry in row.task.fields if entry.path != field]
    del row.task.fields[:]
    row.task.fields.extend(kept)
    row.task.fields.add(path=field).value.number = number
    with pytest.raises(DataCorruptionError, match=f"row 2.*{field}"):
        state_from_rows([*rows_of(EMPTY), row.SerializeToString()])


def test_a_task_without_history_is_refused() -> None:
    rows = rows_of(replace(EMPTY, tasks=(replace(TASK, history=()),)))
    with pytest.raises(DataCorruptionError, match="no history"):
        state_from_rows(rows)
