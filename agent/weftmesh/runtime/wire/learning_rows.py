"""The learning machine at one revision as rows of a snapshot, and back: a header, then its rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from google.protobuf.message import DecodeError

from weftmesh.core.board.first_answers import AnsweredRequest
from weftmesh.core.errors import DataCorruptionError, InvalidInputError
from weftmesh.core.learning.machine import Learning
from weftmesh.core.learning.model import Evaluation, Job, OptOut, Round, Row, UnmaskIntent, Version
from weftmesh.core.learning.outcomes import LearningEvent, LearningOutcome
from weftmesh.core.learning.state import LearningState
from weftmesh.learning.v1.row_pb2 import LearningHeader, LearningRow
from weftmesh.runtime.wire.answered import decode_answered, encode_answered
from weftmesh.runtime.wire.learning_records import fill, read

_ROWS: Final[dict[str, type[Row]]] = {
    "job": Job,
    "opt_out": OptOut,
    "round": Round,
    "intent": UnmaskIntent,
    "version": Version,
    "evaluation": Evaluation,
}
"""By the name of their field in the message."""
_FIELDS: Final = {kind: name for name, kind in _ROWS.items()}


def learning_rows(state: LearningState) -> Iterator[bytes]:
    """Yield each row of `state`, serialized; equal states make equal rows, and an empty one makes none."""
    return (row.SerializeToString(deterministic=True) for row in _messages(state))


def _messages(state: LearningState) -> Iterator[LearningRow]:
    if not state.revision and not state.requests:
        return
    yield LearningRow(
        header=LearningHeader(revision=state.revision, state_hash=state.state_hash, event_floor=state.event_floor)
    )
    for row in state.rows:
        message = LearningRow()
        fill(getattr(message, _FIELDS[type(row)]), row)
        yield message
    for event in state.events:
        message = LearningRow()
        fill(message.event, event)
        yield message
    for request in state.requests:
        message = LearningRow()
        encode_answered(request, message.request)
        yield message


def learning_from_rows(rows: Iterable[bytes]) -> Learning:
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
        return Learning()
    with _blaming(number):
        return reader.learning()


@contextmanager
def _blaming(number: int) -> Iterator[None]:
    try:
        yield
    except (DecodeError, InvalidInputError, ValueError) as error:
        raise DataCorruptionError(
            f"row {number} of the snapshot's learning part cannot be read ({error}); restore the node from its peers"
        ) from error


class _Reader:
    """What was read of a snapshot so far. Every method raises ValueError or InvalidInputError."""

    def __init__(self) -> None:
        self._header: LearningHeader | None = None
        self._rows: list[Row] = []
        self._events: list[LearningEvent] = []
        self._requests: list[AnsweredRequest[LearningOutcome]] = []

    def read(self, data: bytes) -> None:
        """Take the next row; DecodeError when it does not parse."""
        row = LearningRow.FromString(data)
        kind = row.WhichOneof("kind")
        if (kind == "header") is not (self._header is None):
            raise ValueError(f"it is of kind {kind}; the header comes first, once")
        if kind == "header":
            self._header = row.header
        elif kind == "event":
            self._events.append(read(LearningEvent, row.event))
        elif kind == "request":
            self._requests.append(decode_answered(LearningOutcome, row.request))
        elif kind in _ROWS:
            self._rows.append(read(_ROWS[kind], getattr(row, kind)))
        else:
            raise ValueError("it is of no kind this version knows; upgrade it if others are newer")

    def learning(self) -> Learning:
        """The whole, after the last row."""
        header = self._header
        if header is None:
            raise ValueError("there is no header")
        state = LearningState(
            header.revision,
            header.state_hash,
            header.event_floor,
            tuple(self._rows),
            tuple(self._events),
            tuple(self._requests),
        )
        learning = Learning.thaw(state)
        if learning.state_hash != header.state_hash.hex():
            raise ValueError(
                f"all rows together have the state hash {learning.state_hash}, not {header.state_hash.hex()}"
            )
        return learning
