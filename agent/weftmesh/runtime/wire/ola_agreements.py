"""Agreements as typed messages, and back. What an agreement says must not get lost on the way."""

from __future__ import annotations

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.ola.model import Agreement
from weftmesh.ola.v1 import agreement_pb2
from weftmesh.runtime.wire.learning_records import fill, read


def agreement_message(agreement: Agreement) -> agreement_pb2.Agreement:
    """Return `agreement` as a message.

    Raises:
        InvalidInputError: a number or a text that the format cannot carry.
    """
    message = agreement_pb2.Agreement()
    try:
        fill(message, agreement)
    except ValueError as error:
        raise InvalidInputError(
            f"agreement {agreement.name[:63]!r} cannot be sent: {error}; correct the value"
        ) from error
    return message


def agreement_of(message: agreement_pb2.Agreement) -> Agreement:
    """Return the agreement that `message` holds.

    Raises:
        InvalidInputError: a part is missing, or this version does not know all that it says.
    """
    check_known(message, f"agreement {message.name[:63]!r}")
    return read(Agreement, message)


def check_known(message: Message, where: str) -> None:
    """Refuse a message with fields that this version does not know: nobody can keep what he cannot read.

    Raises:
        InvalidInputError: there are some; it says in which part.
    """
    unknown = UnknownFieldSet(message)
    if len(unknown):
        numbers = ", ".join(str(unknown[place].field_number) for place in range(len(unknown)))
        raise InvalidInputError(
            f"{where}: its {message.DESCRIPTOR.name} has fields that this node does not know ({numbers}); they come "
            "from a newer release: upgrade this node, or leave out what they stand for",
            reason="UNKNOWN_FIELDS",
        )
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            for part in value if field.is_repeated else (value,):
                check_known(part, where)
