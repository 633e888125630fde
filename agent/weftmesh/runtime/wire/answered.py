"""First answers to request ids as rows of snapshots, alike for the machines beside the board."""

from __future__ import annotations

from typing import Any, Final

from google.protobuf.message import Message

from weftmesh.core.board.first_answers import AnsweredRequest, OutcomeT
from weftmesh.runtime.wire.learning_records import fill, read

_NOT_OF_THESE: Final = ("collisions", "mergeable_paths")
"""Outcomes of the board have them, and those of the other machines never."""


def encode_answered(request: AnsweredRequest[OutcomeT], row: Message) -> None:
    """Fill the row of an answered request, of whichever machine."""
    shape: Any = row  # generated classes have no type in common that names their fields
    shape.request_id, shape.digest, shape.order = request.request_id, request.digest, request.order
    fill(row, request.outcome, frozenset(_NOT_OF_THESE))


def decode_answered(kind: type[OutcomeT], row: Message) -> AnsweredRequest[OutcomeT]:
    """The inverse of `encode_answered`.

    Raises:
        InvalidInputError: a number or word in it is none of an enum's.
    """
    shape: Any = row
    outcome = read(kind, row, dict.fromkeys(_NOT_OF_THESE, ()))
    return AnsweredRequest(shape.request_id, shape.digest, outcome, shape.order)
