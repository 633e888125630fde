"""Several machines in one snapshot: a board's rows are told from those of others by two bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weftmesh.board.v1.command_pb2 import BoardRow
from weftmesh.core.errors import DataCorruptionError
from weftmesh.mesh.v1.raft_pb2 import MachineRow
from weftmesh.runtime.wire.machine_rows import BOARD, LEARNING, RowSorter, wrapped


@given(st.lists(st.binary(max_size=40), max_size=5))
def test_rows_come_back_to_their_machines(others: list[bytes]) -> None:
    board = [BoardRow(header={"revision": 7}).SerializeToString(), BoardRow().SerializeToString()]
    sorter = RowSorter([board[0], *wrapped(LEARNING, others), board[1]])
    assert list(sorter.rows_of(BOARD)) == board
    assert list(sorter.rows_of(LEARNING)) == others
    assert list(sorter.rows_of("nothing")) == []


def test_the_fields_of_the_two_kinds_of_rows_are_apart() -> None:
    assert max(field.number for field in BoardRow.DESCRIPTOR.fields) < 96
    assert {field.number for field in MachineRow.DESCRIPTOR.fields} <= set(range(100, 112))


@pytest.mark.parametrize("field", range(96, 112))
def test_a_row_of_an_unknown_machine_is_refused(field: int) -> None:
    tag = field << 3 | 2
    row = bytes([tag & 0x7F | 0x80, tag >> 7, 1, 65])
    if field in MachineRow.DESCRIPTOR.fields_by_number:
        assert list(RowSorter([row]).rows_of(BOARD)) == []
        return
    with pytest.raises(DataCorruptionError, match="a machine that this version does not know; upgrade this node"):
        list(RowSorter([row]).rows_of(BOARD))


def test_a_row_that_does_not_parse_is_refused() -> None:
    (row,) = wrapped(LEARNING, [b"whole"])
    with pytest.raises(DataCorruptionError, match="row 1 of the snapshot does not parse"):
        list(RowSorter([row[:-1]]).rows_of(BOARD))
