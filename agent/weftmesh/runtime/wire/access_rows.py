"""The machine of roles at one revision as rows of a snapshot, and back: a header, then its rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from google.protobuf.message import DecodeError

from weftmesh.access.v1.row_pb2 import AccessHeader, AccessRow
from weftmesh.core.access.machine import Access
from weftmesh.core.access.model import Binding
from weftmesh.core.access.outcomes import AccessEvent, AccessOutcome
from weftmesh.core.access.state import AccessState
from weftmesh.core.board.first_answers import AnsweredRequest
from weftmesh.core.errors import DataCorruptionError, InvalidInputError
from weftmesh.runtime.wire.answered import decode_answered, encode_answered
from weftmesh.runtime.wire.learning_records import fill, read


def access_rows(state: AccessState) -> Iterator[bytes]:
    """Yield each row of `state`, serialized; equal states make equal rows, and an empty one makes none."""
    return (row.SerializeToString(deterministic=True) for row in _messages(state))


def _messages(state: AccessState) -> Iterator[AccessRow]:
    if not state.revision and not state.requests:
        return
    yield AccessRow(
        header=AccessHeader(revision=state.revision, state_hash=state.state_hash, event_floor=state.event_floor)
    )
    for binding in state.bindings:
        message = AccessRow()
        fill(message.binding, binding)
        yield message
    for event in state.events:
        message = AccessRow()
        fill(message.event, event)
        yield message
    for request in state.requests:
        message = AccessRow()
        encode_answered(request, message.request)
        yield message


def access_from_rows(rows: Iterable[bytes]) -> Access:
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
        return Access()
    with _blaming(number):
        return reader.machine()


@contextmanager
def _blaming(number: int) -> Iterator[None]:
    try:
        yield
    except (DecodeError, InvalidInputError, ValueError) as error:
        raise DataCorruptionError(
            f"row {number} of the snapshot's roles cannot be read ({error}); restore the node from its peers"
        ) from error


class _Reader:
    """What was read of a snapshot so far. Every method raises ValueError or InvalidInputError."""

    def __init__(self) -> None:
        self._header: AccessHeader | None = None
        self._bindings: list[Binding] = []
        self._events: list[AccessEvent] = []
        self._requests: list[AnsweredRequest[AccessOutcome]] = []

    def read(self, data: bytes) -> None:
        """Take the next row; DecodeError when it does not parse."""
        row = AccessRow.FromString(data)
        kind = row.WhichOneof("kind")
        if (kind == "header") is not (self._header is None):
            raise ValueError(f"it is of kind {kind}; the header comes first, once")
        match kind:
            case "header":
                self._header = row.header
            case "binding":
                self._bindings.append(read(Binding, row.binding))
            case "event":
                self._events.append(read(AccessEvent, row.event))
            case "request":
                self._requests.append(decode_answered(AccessOutcome, row.request))
            case _:
                raise ValueError("it is of no kind this version knows; upgrade it if others are newer")

    def machine(self) -> Access:
        """The whole, after the last row."""
        header = self._header
        if header is None:
            raise ValueError("there is no header")
        parts = (tuple(self._bindings), tuple(self._events), tuple(self._requests))
        machine = Access.thaw(AccessState(header.revision, header.state_hash, header.event_floor, *parts))
        if machine.state_hash != header.state_hash.hex():
            raise ValueError(
                f"all rows together have the state hash {machine.state_hash}, not {header.state_hash.hex()}"
            )
        return machine
