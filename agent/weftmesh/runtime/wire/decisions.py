"""Decisions and rows of routing tables as messages, and back."""

from __future__ import annotations

from collections.abc import Iterable

from weftmesh.core.routing.model import Decision, Row
from weftmesh.routing.v1 import decision_pb2
from weftmesh.runtime.wire.learning_records import fill, read


def decision_message(decision: Decision) -> decision_pb2.Decision:
    """Return `decision` as a message; equal decisions make equal bytes."""
    message = decision_pb2.Decision()
    fill(message, decision)
    return message


def decision_of(message: decision_pb2.Decision) -> Decision:
    """Return the decision that `message` holds.

    Raises:
        InvalidInputError: a part is missing or out of range, or a word that this version does not know.
    """
    return read(Decision, message)


def row_message(row: Row) -> decision_pb2.Row:
    """Return `row` as a message."""
    message = decision_pb2.Row()
    fill(message, row)
    return message


def rows_of(messages: Iterable[decision_pb2.Row]) -> tuple[Row, ...]:
    """Return the rows that `messages` hold.

    Raises:
        InvalidInputError: a word that this version does not know.
    """
    return tuple(read(Row, one) for one in messages)
