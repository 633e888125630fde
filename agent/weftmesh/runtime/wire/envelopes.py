"""What passes between a coordinator and a learner as bytes: records of the core in the protobuf Envelope, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from google.protobuf.message import DecodeError

from weftmesh.core.aggregation.messages import (
    Invitation,
    KeyAdvertisement,
    MaskedInput,
    RosterAnnouncement,
    ShareDelivery,
    ShareUpload,
    UnmaskRequest,
    UnmaskShares,
)
from weftmesh.core.errors import InvalidInputError
from weftmesh.learning.v1 import envelope_pb2
from weftmesh.runtime.rpc import MESSAGE_BYTES_MAX
from weftmesh.runtime.wire.learning_records import fill, read


@dataclass(frozen=True, slots=True)
class FlowerMessage:
    """A message of Flower, as weftmesh.runtime.flower writes it."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class LearnerRefusal:
    """There is no answer.

    Attributes:
        reason: a stable word.
        message: for people; it quotes no task.
    """

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Work:
    """Shares for a contributor, and what to do before the result is masked.

    Attributes:
        delivery: the protocol's part.
        flower_message: of type train or evaluate.
        metrics: names of those that go into the vector, in its order.
    """

    delivery: ShareDelivery
    flower_message: bytes
    metrics: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Contribution:
    """A masked vector.

    Attributes:
        announcement: the protocol's part.
        vector: `announcement.length` words of 8 bytes, low byte first.
    """

    announcement: MaskedInput
    vector: bytes


Letter = (
    FlowerMessage
    | LearnerRefusal
    | Invitation
    | KeyAdvertisement
    | RosterAnnouncement
    | ShareUpload
    | Work
    | Contribution
    | UnmaskRequest
    | UnmaskShares
)
"""What an envelope may hold."""

_FIELDS: Final[Mapping[type[Letter], str]] = {
    LearnerRefusal: "refusal",
    Invitation: "invitation",
    KeyAdvertisement: "key_advertisement",
    RosterAnnouncement: "roster_announcement",
    ShareUpload: "share_upload",
    Work: "work",
    Contribution: "contribution",
    UnmaskRequest: "unmask_request",
    UnmaskShares: "unmask_shares",
}
_KINDS: Final[Mapping[str, type[Letter]]] = {name: kind for kind, name in _FIELDS.items()}
_FLOWER: Final = "flower_message"


def seal(letter: Letter) -> bytes:
    """The bytes of an envelope with `letter` in it.

    Raises:
        InvalidInputError: a number in it does not fit.
    """
    envelope = envelope_pb2.Envelope()
    if isinstance(letter, FlowerMessage):
        envelope.flower_message = letter.payload
        return envelope.SerializeToString()
    part = getattr(envelope, _FIELDS[type(letter)])
    part.SetInParent()
    try:
        fill(part, letter)
    except (ValueError, TypeError) as error:
        raise InvalidInputError(f"{type(letter).__name__} cannot be sent: {error}") from error
    return envelope.SerializeToString()


def unseal(payload: bytes, *, size_bytes_max: int = MESSAGE_BYTES_MAX) -> Letter:
    """The inverse of `seal`. What it returns has the right types; the rules of the protocol are for the core to check.

    Raises:
        InvalidInputError: it is too large, or not an envelope, or of a kind that this version does not know.
    """
    if len(payload) > size_bytes_max:
        raise InvalidInputError(
            f"an envelope of {len(payload)} bytes exceeds {size_bytes_max}", reason="LEARNING_MESSAGE_TOO_LARGE"
        )
    try:
        envelope = envelope_pb2.Envelope.FromString(payload)
    except DecodeError as error:
        raise _malformed("it is not an envelope") from error
    name = envelope.WhichOneof("kind")
    if name is None:
        raise _malformed("it is empty, or of a kind that this version does not know")
    if name == _FLOWER:
        return FlowerMessage(envelope.flower_message)
    try:
        return read(_KINDS[name], getattr(envelope, name))
    except InvalidInputError as error:
        raise _malformed(str(error)) from error


def _malformed(what: str) -> InvalidInputError:
    return InvalidInputError(f"a learning message is malformed: {what}", reason="LEARNING_MESSAGE_MALFORMED")
