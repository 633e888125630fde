"""What makes a write safe to send twice: its request id and a new task's id are chosen before the first attempt."""

from __future__ import annotations

import random
from typing import Any, Final, TypeVar

from google.protobuf.message import Message

from weftmesh.board.v1 import board_pb2
from weftmesh.core.errors import InvalidInputError
from weftmesh.core.ids import new_ulid
from weftmesh.runtime.clock import wall_ms

_ENTROPY = random.SystemRandom()
_UUID_VERSION_4: Final = 4 << 76 | 2 << 62
"""RFC 9562: version 4, variant 10..."""
_UUID_MASK: Final = (1 << 128) - 1 & ~(15 << 76 | 3 << 62)

Write = (
    board_pb2.CreateProjectRequest
    | board_pb2.UpdateProjectRequest
    | board_pb2.DeleteProjectRequest
    | board_pb2.UndeleteProjectRequest
    | board_pb2.CreateTaskRequest
    | board_pb2.UpdateTaskRequest
    | board_pb2.ClaimTaskRequest
    | board_pb2.RevertTaskRequest
    | board_pb2.DeleteTaskRequest
    | board_pb2.UndeleteTaskRequest
    | board_pb2.ResolveConflictRequest
)
"""A request that changes the board."""

R = TypeVar("R", bound=Message)

_CASES: Final = {
    field.message_type.full_name: field.name
    for field in board_pb2.WriteRequest.DESCRIPTOR.oneofs_by_name["write"].fields
    if field.message_type is not None and field.name != "batch"
}


def new_request_id() -> str:
    """A fresh request id, a random UUID; spelled out here, because the class takes ten times as long."""
    digits = f"{_ENTROPY.getrandbits(128) & _UUID_MASK | _UUID_VERSION_4:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def new_task_id() -> str:
    """A fresh task id, a ULID."""
    return new_ulid(wall_ms(), _ENTROPY)


def prepared(request: R) -> R:
    """A copy of a write that may be sent again: with a request id, and a task id where it makes a task."""
    copy = type(request)()
    copy.CopyFrom(request)
    _fill(copy)
    return copy


def as_write(request: Write | board_pb2.WriteRequest) -> board_pb2.WriteRequest:
    """A copy of a write in the form of the Write stream, safe to be sent again; `sequence` is left to the stream.

    Raises:
        InvalidInputError: it is not one single write.
    """
    entry = board_pb2.WriteRequest()
    if isinstance(request, board_pb2.WriteRequest):
        entry.CopyFrom(request)
        case = entry.WhichOneof("write")
    else:
        case = _CASES.get(request.DESCRIPTOR.full_name)
        if case is not None:
            getattr(entry, case).CopyFrom(request)
    if case is None or case == "batch":
        raise InvalidInputError(f"{type(request).__name__} is not one write; pass a request that changes the board")
    _fill(getattr(entry, case))
    return entry


def _fill(request: Any) -> None:
    if request.request_id:
        # The caller's own retry has to ask for exactly the same, so a task id that it left open stays open.
        return
    request.request_id = new_request_id()
    if isinstance(request, board_pb2.CreateTaskRequest) and not request.task_id:
        request.task_id = new_task_id()
