"""Commands about trust as they stand in the log."""

from __future__ import annotations

from typing import Final, get_args

from weftmesh.core.board.commands import Header
from weftmesh.core.errors import InvalidInputError
from weftmesh.core.trust import commands as core
from weftmesh.mesh.v1.trust_pb2 import TrustCommand
from weftmesh.runtime.wire.learning_records import field_name, fill, read

_NOT_IN_BODY: Final = frozenset({"header"})
_KINDS: Final[dict[str, type[core.Command]]] = {field_name(kind): kind for kind in get_args(core.Command)}
"""By the name of their field in the message."""


def encode_trust_command(command: core.Command) -> TrustCommand:
    """Return `command` as a message; equal commands make equal bytes.

    Raises:
        InvalidInputError: a number or a text that the format cannot carry.
    """
    header = command.header
    try:
        message = TrustCommand(
            request_id=header.request_id,
            request_digest=header.request_digest,
            actor=header.actor,
            stamp=header.stamp,
        )
        body = getattr(message, field_name(type(command)))
        body.SetInParent()
        fill(body, command, _NOT_IN_BODY)
    except ValueError as error:
        raise InvalidInputError(
            f"{type(command).__name__} cannot be written down: {error}; correct the value"
        ) from error
    return message


def decode_trust_command(message: TrustCommand) -> core.Command:
    """Return the command that `message` holds.

    Raises:
        InvalidInputError: this version cannot read it.
    """
    name = message.WhichOneof("kind")
    if name is None:
        raise InvalidInputError("a command about trust is of no kind this version knows; upgrade this node")
    header = Header(message.actor, message.stamp, message.request_id, message.request_digest)
    return read(_KINDS[name], getattr(message, name), {"header": header})
