"""The machine of trust at one revision as rows of a snapshot, and back: a header, then its rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final, get_args

from google.protobuf.message import DecodeError

from weftmesh.core.board.first_answers import AnsweredRequest
from weftmesh.core.errors import DataCorruptionError, InvalidInputError
from weftmesh.core.trust.machine import Trust
from weftmesh.core.trust.outcomes import TrustOutcome
from weftmesh.core.trust.rows import Row
from weftmesh.core.trust.state import TrustState
from weftmesh.mesh.v1.trust_pb2 import TrustHeader, TrustRow
from weftmesh.runtime.wire.answered import decode_answered, encode_answered
from weftmesh.runtime.wire.learning_records import field_name, fill, read

_ROWS: Final[dict[str, type[Row]]] = {field_name(kind): kind for kind in get_args(Row)}
"""By the name of their field in the message."""


def trust_rows(state: TrustState) -> Iterator[bytes]:
    """Yield each row of `state`, serialized; equal states make equal rows, and an empty one makes none."""
    return (row.SerializeToString(deterministic=True) for row in _messages(state))


def _messages(state: TrustState) -> Iterator[TrustRow]:
    if not state.revision and not state.requests:
        return
    yield TrustRow(header=TrustHeader(revision=state.revision, state_hash=state.state_hash))
    for row in state.rows:
        message = TrustRow()
        fill(getattr(message, field_name(type(row))), row)
        yield message
    for request in state.requests:
        message = TrustRow()
        encode_answered(request, message.request)
        yield message


def trust_from_rows(rows: Iterable[bytes]) -> Trust:
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
        return Trust()
    with _blaming(number):
        return reader.machine()


@contextmanager
def _blaming(number: int) -> Iterator[None]:
    try:
        yield
    except (DecodeError, InvalidInputError, ValueError) as error:
        raise DataCorruptionError(
            f"row {number} of what the snapshot says of trust cannot be read ({error}); restore the node from its peers"
        ) from error


class _Reader:
    """What was read of a snapshot so far. Every method raises ValueError or InvalidInputError."""

    def __init__(self) -> None:
        self._header: TrustHeader | None = None
        self._rows: list[Row] = []
        self._requests: list[AnsweredRequest[TrustOutcome]] = []

    def read(self, data: bytes) -> None:
        """Take the next row; DecodeError when it does not parse."""
        row = TrustRow.FromString(data)
        kind = row.WhichOneof("kind")
        if (kind == "header") is not (self._header is None):
            raise ValueError(f"it is of kind {kind}; the header comes first, once")
        if kind == "header":
            self._header = row.header
        elif kind == "request":
            self._requests.append(decode_answered(TrustOutcome, row.request))
        elif kind in _ROWS:
            self._rows.append(read(_ROWS[kind], getattr(row, kind)))
        else:
            raise ValueError("it is of no kind this version knows; upgrade it if others are newer")

    def machine(self) -> Trust:
        """The whole, after the last row."""
        header = self._header
        if header is None:
            raise ValueError("there is no header")
        state = TrustState(header.revision, header.state_hash, tuple(self._rows), tuple(self._requests))
        machine = Trust.thaw(state)
        if machine.state_hash != header.state_hash.hex():
            raise ValueError(
                f"all rows together have the state hash {machine.state_hash}, not {header.state_hash.hex()}"
            )
        return machine
