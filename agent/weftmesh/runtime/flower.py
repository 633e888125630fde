"""Loads Flower, as the only module that does: its messages as bytes, its process-wide state, its semi-private names.

Flower is a library here: of its release we use messages, client apps and strategies, over our own mesh. It brings no
server, no port and no process of its own. Importing this module costs a process memory and time, so only those that
train import it, and only once they train: docs/adr/0007-flower-is-a-library.md has the figures.

What a peer sends is checked before Flower sees it: size, form, and that every array is plain numbers. Nothing that
comes in is ever unpickled.
"""

from __future__ import annotations

import io
import logging
import math
import os
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from weftmesh.core.errors import InvalidInputError
from weftmesh.runtime import tls as tls  # before Flower imports grpc
from weftmesh.runtime.rpc import MESSAGE_BYTES_MAX

SERIES: Final = "1.41"
"""The release whose serialisation and metadata were read; another one may differ in what is not public."""
TELEMETRY_SWITCH: Final = "FLWR_TELEMETRY_ENABLED"


def check_release(found: str | None) -> None:
    """Refuse a release of Flower that was not read.

    Args:
        found: what is installed; None when nothing is.

    Raises:
        ImportError: it is not of SERIES; the message says what to install.
    """
    if found is None:
        raise ImportError("Flower is not installed: install weftmesh[learner] on nodes that train or lead")
    if not found.startswith(f"{SERIES}."):
        raise ImportError(f"flwr {found} is not of the series {SERIES} that this program was tried with: install that")


def installed_release() -> str | None:
    """The version of flwr that would be imported."""
    try:
        return version("flwr")
    except PackageNotFoundError:
        return None


check_release(installed_release())
# Flower reports its use to its makers unless this is there before it is imported.
os.environ[TELEMETRY_SWITCH] = "0"

import numpy as np  # noqa: E402
from flwr.app import (  # noqa: E402
    Array,
    ArrayRecord,
    ConfigRecord,
    Context,
    Error,
    Message,
    MessageType,
    MetricRecord,
    RecordDict,
)
from flwr.clientapp import ClientApp  # noqa: E402
from flwr.common.serde import message_from_proto, message_to_proto  # noqa: E402
from flwr.proto.message_pb2 import Message as WireMessage  # noqa: E402
from flwr.serverapp import Grid  # noqa: E402
from flwr.serverapp.strategy import FedAvg  # noqa: E402
from flwr.supercore.run import Run  # noqa: E402
from flwr.supercore.task_identity import TaskIdentity  # noqa: E402
from google.protobuf.message import DecodeError  # noqa: E402

RUN_ID: Final = 1
COORDINATOR_NODE_ID: Final = 1
"""What Flower calls the sender of instructions. No node of the mesh gets this number."""
STYPE: Final = "numpy.ndarray"
"""Flower's word for the .npy format."""
DIMENSIONS_MAX: Final = 8
NUMBERS: Final = frozenset({"uint8", "uint64", "float32", "float64"})
"""Element types that an array of a message may have."""


def _settle_process_state() -> None:
    if _is_run_by_flower():
        return
    # Flower keeps one run a process; which round a message is of stands in our own envelope.
    TaskIdentity.run_id = RUN_ID
    TaskIdentity.node_id = COORDINATOR_NODE_ID
    TaskIdentity.task_id = RUN_ID
    # It brings a coloured console handler; its words belong into our log, and its progress does not.
    logger = logging.getLogger("flwr")
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
    logger.propagate = True
    logger.setLevel(logging.ERROR)


def _is_run_by_flower() -> bool:
    """Whether Flower started this process for a task of its own, whose run and log these are: see docs/flower.md."""
    try:
        return TaskIdentity.task_id > 0
    except RuntimeError:
        return False


_settle_process_state()


def new_run() -> Run:
    """What a Grid has to show as its run."""
    return Run.create_empty(RUN_ID)


def new_context(node_id: int) -> Context:
    """What a ClientApp is called with beside the message: no state is kept in it between rounds."""
    return Context(run_id=RUN_ID, node_id=node_id, node_config={}, state=RecordDict(), run_config={})


def instruct(content: RecordDict, message_type: str, node_id: int, group_id: str) -> Message:
    """A message of the coordinator to a node.

    Args:
        content: what to work on.
        message_type: one of MessageType.
        node_id: the number of the node, see weftmesh.coordinator.node_numbers.
        group_id: the round.
    """
    return Message(content, dst_node_id=node_id, message_type=message_type, group_id=group_id)


def reply(content: RecordDict, to: Message) -> Message:
    """An answer to `to`."""
    return Message(content, reply_to=to)


def reply_error(code: int, reason: str, to: Message) -> Message:
    """The answer to `to` that there is none, and why."""
    return Message(Error(code=code, reason=reason), reply_to=to)


def set_message_id(message: Message, message_id: str) -> None:
    """Name an instruction, so that its reply refers to it; Flower leaves that to the transport."""
    message.metadata.__dict__["_message_id"] = message_id


def to_bytes(message: Message) -> bytes:
    """The protobuf form of a message."""
    return message_to_proto(message).SerializeToString()


def from_bytes(payload: bytes, *, size_bytes_max: int = MESSAGE_BYTES_MAX) -> Message:
    """Read what a peer sent.

    Args:
        payload: the protobuf form, as `to_bytes` makes it.
        size_bytes_max: a larger one is refused unread.

    Raises:
        InvalidInputError: it is too large, or not a message, or an array in it is not plain numbers.
    """
    if len(payload) > size_bytes_max:
        raise InvalidInputError(
            f"a learning message of {len(payload)} bytes exceeds {size_bytes_max}", reason="LEARNING_MESSAGE_TOO_LARGE"
        )
    try:
        message = message_from_proto(WireMessage.FromString(payload))
    except (DecodeError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise _malformed(f"{type(error).__name__} while it was read") from error
    if message.has_content() == message.has_error():
        raise _malformed("it needs either content or an error")
    if message.has_content():
        for record in message.content.array_records.values():
            for name, array in record.items():
                _check_numbers(name, array)
    return message


def _check_numbers(name: str, array: Array) -> None:
    """Require the very bytes that numpy writes for an array of these elements and this shape.

    Comparing needs no parser: numpy's own makes room for whatever a header claims, and takes a zip archive as well.
    """
    if array.stype != STYPE or array.dtype not in NUMBERS:
        raise _malformed(f"array {name!r} holds {array.dtype}; allowed are {', '.join(sorted(NUMBERS))} as .npy")
    if len(array.shape) > DIMENSIONS_MAX or any(length < 0 for length in array.shape):
        raise _malformed(f"array {name!r} has an impossible shape")
    dtype = np.dtype(array.dtype)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header,
        {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": tuple(array.shape)},
    )
    size_bytes = header.tell() + math.prod(array.shape) * dtype.itemsize
    if len(array.data) != size_bytes or not array.data.startswith(header.getvalue()):
        raise _malformed(f"array {name!r} is not {array.dtype} of the shape {tuple(array.shape)} in C order")


def _malformed(what: str) -> InvalidInputError:
    return InvalidInputError(f"a learning message is malformed: {what}", reason="LEARNING_MESSAGE_MALFORMED")


__all__ = [
    "COORDINATOR_NODE_ID",
    "RUN_ID",
    "SERIES",
    "TELEMETRY_SWITCH",
    "Array",
    "ArrayRecord",
    "ClientApp",
    "ConfigRecord",
    "Context",
    "FedAvg",
    "Grid",
    "Message",
    "MessageType",
    "MetricRecord",
    "RecordDict",
    "Run",
    "check_release",
    "from_bytes",
    "installed_release",
    "instruct",
    "new_context",
    "new_run",
    "reply",
    "reply_error",
    "set_message_id",
    "to_bytes",
]
