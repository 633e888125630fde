"""The rows of several machines in one snapshot.

A board's rows stand bare, as they did when a log drove nothing else: such snapshots are read as ever, and a large board
costs nothing more. The few rows of other machines are wrapped in a `MachineRow`, whose first field is beyond any of a
board's row, so that two bytes tell which it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from google.protobuf.message import DecodeError

from weftmesh.core.errors import DataCorruptionError
from weftmesh.mesh.v1.raft_pb2 import MachineRow

BOARD: Final = "board"
LEARNING: Final = "learning"
OLA: Final = "ola"
FEATURES: Final = "features"
ACCESS: Final = "access"
TRUST: Final = "trust"

_CONTINUES: Final = 0x80
_SECOND_TAG_BYTE: Final = 6
"""Of fields 96 to 111."""


def wrapped(machine: str, rows: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the rows of a machine other than the board as they stand in a snapshot.

    Args:
        machine: the name of its field in `MachineRow`.
        rows: serialized rows.
    """
    for row in rows:
        message = MachineRow()
        _set(message, machine, row)
        yield message.SerializeToString(deterministic=True)


def _set(message: Any, machine: str, row: bytes) -> None:
    setattr(message, machine, row)


class RowSorter:
    """Takes the rows of a snapshot apart while they are read."""

    def __init__(self, rows: Iterable[bytes]) -> None:
        self._rows = rows
        self._others: dict[str, list[bytes]] = {}

    def rows_of(self, machine: str) -> Iterable[bytes]:
        """The serialized rows of one machine. The board's are read as they come; those of others are known after them.

        Raises:
            DataCorruptionError: a row is of no machine that this version knows; while the board's are read.
        """
        return self._board_rows() if machine == BOARD else self._others.get(machine, ())

    def _board_rows(self) -> Iterator[bytes]:
        for number, row in enumerate(self._rows, start=1):
            if len(row) > 1 and row[0] & _CONTINUES and row[1] == _SECOND_TAG_BYTE:
                self._keep(number, row)
            else:
                yield row

    def _keep(self, number: int, data: bytes) -> None:
        try:
            row = MachineRow.FromString(data)
        except DecodeError as error:
            raise DataCorruptionError(
                f"row {number} of the snapshot does not parse ({error}); restore the node from its peers"
            ) from error
        machine = row.WhichOneof("machine")
        if machine is None:
            raise DataCorruptionError(
                f"row {number} of the snapshot is of a machine that this version does not know; upgrade this node"
            )
        self._others.setdefault(machine, []).append(getattr(row, machine))
