"""Learning commands as they stand in the log."""

from __future__ import annotations

import re
from typing import Final, get_args

from google.protobuf.message import DecodeError

from weftmesh.core.board.commands import Header
from weftmesh.core.errors import InvalidInputError
from weftmesh.core.learning import commands as core
from weftmesh.learning.v1.command_pb2 import LearningCommand
from weftmesh.runtime.wire.learning_records import fill, read

_NOT_IN_BODY: Final = frozenset({"header"})
_KINDS: Final[dict[str, type[core.Command]]] = {
    re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower(): kind for kind in get_args(core.Command)
}
"""By the name of their field in the message."""
_FIELDS: Final = {kind: name for name, kind in _KINDS.items()}


def encode_learning_command(command: core.Command) -> LearningCommand:
    """Return `command` as a message; equal commands make equal bytes.

    Raises:
        InvalidInputError: a number or a text that the format cannot carry.
    """
    header = command.header
    try:
        message = LearningCommand(
            request_id=header.request_id,
            request_digest=header.request_digest,
            actor=header.actor,
            stamp=header.stamp,
        )
        body = getattr(message, _FIELDS[type(command)])
        body.SetInParent()
        fill(body, command, _NOT_IN_BODY)
    except ValueError as error:
        raise InvalidInputError(
            f"{type(command).__name__} cannot be written down: {error}; correct the value"
        ) from error
    return message


def decode_learning_command(message: LearningCommand) -> core.Command:
    """Return the command that `message` holds.

    Raises:
        InvalidInputError: this version cannot read it.
    """
    name = message.WhichOneof("kind")
    if name is None:
        raise InvalidInputError("a learning command is of no kind this version knows; upgrade this node")
    header = Header(message.actor, message.stamp, message.request_id, message.request_digest)
    return read(_KINDS[name], getattr(message, name), {"header": header})


def learning_command_from_bytes(data: bytes) -> core.Command:
    """Return the command in `data`.

    Raises:
        InvalidInputError: `data` is not a command, or one that this version cannot read.
    """
    try:
        message = LearningCommand.FromString(data)
    except DecodeError as error:
        raise InvalidInputError(f"{len(data)} bytes that should be a learning command are not one: {error}") from error
    return decode_learning_command(message)
