"""The machine of agreements at one revision as rows of a snapshot, and back: a header, then its rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final, get_args

from google.protobuf.message import DecodeError

from weftmesh.core.board.first_answers import AnsweredRequest
from weftmesh.core.errors import DataCorruptionError, InvalidInputError
from weftmesh.core.ola.replicated.history import Chunk
from weftmesh.core.ola.replicated.machine import Agreements
from weftmesh.core.ola.replicated.outcomes import OlaEvent, OlaOutcome
from weftmesh.core.ola.replicated.rows import Row
from weftmesh.core.ola.replicated.state import OlaState
from weftmesh.ola.v1.row_pb2 import OlaHeader, OlaRow
from weftmesh.runtime.wire.answered import decode_answered, encode_answered
from weftmesh.runtime.wire.learning_records import field_name, fill, read

_ROWS: Final[dict[str, type[Row]]] = {field_name(kind): kind for kind in get_args(Row)}
"""By the name of their field in the message."""


def ola_rows(state: OlaState) -> Iterator[bytes]:
    """Yield each row of `state`, serialized; equal states make equal rows, and an empty one makes none."""
    return (row.SerializeToString(deterministic=True) for row in _messages(state))


def _messages(state: OlaState) -> Iterator[OlaRow]:
    if not state.revision and not state.requests:
        return
    yield OlaRow(
        header=OlaHeader(
            revision=state.revision,
            state_hash=state.state_hash,
            event_floor=state.event_floor,
            newest_s=state.newest_s,
        )
    )
    for row in state.rows:
        message = OlaRow()
        fill(getattr(message, field_name(type(row))), row)
        yield message
    for chunk in state.chunks:
        message = OlaRow()
        fill(message.chunk, chunk)
        yield message
    for event in state.events:
        message = OlaRow()
        fill(message.event, event)
        yield message
    for request in state.requests:
        message = OlaRow()
        encode_answered(request, message.request)
        yield message


def ola_from_rows(rows: Iterable[bytes]) -> Agreements:
    """Return the machine whose rows these are; an empty one when there are none, as in a snapshot of an older version.

    Raises:
        DataCorruptionError: a row is not one, the header is not the first and only one, or the rows do not have the
            state hash that the header says.
    """
    reader = _Reader()
    number = 0
    for number, data in enumerate(rows, start=1):
        with _blaming(number):
            reader.read(data)
    if not number:
        return Agreements()
    with _blaming(number):
        return reader.machine()


@contextmanager
def _blaming(number: int) -> Iterator[None]:
    try:
        yield
    except (DecodeError, InvalidInputError, ValueError) as error:
        raise DataCorruptionError(
            f"row {number} of the snapshot's agreements cannot be read ({error}); restore the node from its peers"
        ) from error


class _Reader:
    """What was read of a snapshot so far. Every method raises ValueError or InvalidInputError."""

    def __init__(self) -> None:
        self._header: OlaHeader | None = None
        self._rows: list[Row] = []
        self._chunks: list[Chunk] = []
        self._events: list[OlaEvent] = []
        self._requests: list[AnsweredRequest[OlaOutcome]] = []

    def read(self, data: bytes) -> None:
        """Take the next row; DecodeError when it does not parse."""
        row = OlaRow.FromString(data)
        kind = row.WhichOneof("kind")
        if (kind == "header") is not (self._header is None):
            raise ValueError(f"it is of kind {kind}; the header comes first, once")
        if kind == "header":
            self._header = row.header
        elif kind == "chunk":
            self._chunks.append(read(Chunk, row.chunk))
        elif kind == "event":
            self._events.append(read(OlaEvent, row.event))
        elif kind == "request":
            self._requests.append(decode_answered(OlaOutcome, row.request))
        elif kind in _ROWS:
            self._rows.append(read(_ROWS[kind], getattr(row, kind)))
        else:
            raise ValueError("it is of no kind this version knows; upgrade it if others are newer")

    def machine(self) -> Agreements:
        """The whole, after the last row."""
        header = self._header
        if header is None:
            raise ValueError("there is no header")
        state = OlaState(
            header.revision,
            header.state_hash,
            header.event_floor,
            header.newest_s,
            tuple(self._rows),
            tuple(self._chunks),
            tuple(self._events),
            tuple(self._requests),
        )
        machine = Agreements.thaw(state)
        if machine.state_hash != header.state_hash.hex():
            raise ValueError(
                f"all rows together have the state hash {machine.state_hash}, not {header.state_hash.hex()}"
            )
        return machine
