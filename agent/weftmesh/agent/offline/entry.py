"""One write in the queue, and the records that say on disk what became of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Self

from weftmesh.board.v1 import board_pb2, queue_pb2
from weftmesh.board.v1.command_pb2 import BoardCommand
from weftmesh.core.board.commands import Command
from weftmesh.core.board.machine import Board
from weftmesh.core.board.outcomes import Outcome
from weftmesh.core.board.pending import stored_conflict
from weftmesh.core.errors import InvalidInputError, WeftmeshError
from weftmesh.core.ids import project_name, task_name
from weftmesh.runtime.rpc import to_write_failed
from weftmesh.runtime.wire.commands import decode_command, encode_command
from weftmesh.runtime.wire.outcomes import applied_message
from weftmesh.runtime.wire.resources import set_stamp

NAME_PREFIX: Final = "queuedWrites/"
APPLIED_WRITE_BYTES_MAX: Final = 4 * 1024
"""What is remembered of applied writes fits into one answer with it."""


@dataclass(slots=True)
class Entry:
    """A queued write."""

    id: str
    """A ULID."""
    write: board_pb2.WriteRequest
    """What the caller asked for."""
    command: Command
    """What is proposed."""
    project_id: str
    """Of the project itself, or of the task."""
    size_bytes: int = 0
    place: int = 0
    """Rises along the queue."""
    refusal: board_pb2.WriteFailed | None = None
    trouble: WeftmeshError | None = None
    """What the last attempt ran into."""
    attempts: int = 0

    @classmethod
    def of(cls, record: queue_pb2.QueuedRecord) -> Self:
        """The write that a record holds.

        Raises:
            InvalidInputError: a command that this version cannot read.
        """
        if not record.id:
            raise InvalidInputError("the record names no write")
        return cls(record.id, record.write, decode_command(record.command), record.project_id, record.ByteSize())

    def wire(self) -> BoardCommand:
        """The command as it is proposed."""
        return encode_command(self.command)

    def record(self) -> queue_pb2.QueueRecord:
        """What to write down when it joins the queue."""
        queued = queue_pb2.QueuedRecord(id=self.id, write=self.write, command=self.wire(), project_id=self.project_id)
        return queue_pb2.QueueRecord(queued=queued)

    def under(self, request_id: bytes) -> Command:
        """The same command as another request."""
        command = self.command
        return replace(command, header=replace(command.header, request_id=request_id))

    @property
    def task_id(self) -> str:
        """Of the task that it writes; empty for a write to a project."""
        return getattr(self.command, "task_id", "")

    def message(self, state: board_pb2.QueuedWriteState) -> board_pb2.QueuedWrite:
        """The write as callers see it."""
        message = board_pb2.QueuedWrite(
            name=f"{NAME_PREFIX}{self.id}" if self.id else "",
            write=self.write,
            actor=self.command.header.actor,
            state=state,
            task=task_name(self.project_id, self.task_id) if self.task_id else "",
            project=project_name(self.project_id),
            attempts=self.attempts,
        )
        set_stamp(message.queue_time, self.command.header.stamp)
        if self.refusal is not None:
            message.error.CopyFrom(self.refusal)
        elif self.trouble is not None:
            message.error.CopyFrom(to_write_failed(self.trouble))
        return message


def applied_write(entry: Entry, outcome: Outcome, board: Board) -> board_pb2.QueuedWrite:
    """What callers see of a write that left the queue because it was applied; of a large one, without its contents."""
    message = entry.message(board_pb2.QUEUED_WRITE_STATE_APPLIED)
    message.ClearField("error")
    if message.write.ByteSize() > APPLIED_WRITE_BYTES_MAX:
        message.ClearField("write")
    message.applied.CopyFrom(applied_message(outcome, board))
    message.stored_conflict = stored_conflict(board, outcome)
    return message


def left_record(entry_id: str) -> queue_pb2.QueueRecord:
    """A write left the queue."""
    return queue_pb2.QueueRecord(left=entry_id)


def refused_record(entry_id: str, error: board_pb2.WriteFailed) -> queue_pb2.QueueRecord:
    """A write was refused."""
    return queue_pb2.QueueRecord(refused=queue_pb2.RefusedRecord(id=entry_id, error=error))


def retried_record(entry_id: str, request_id: bytes) -> queue_pb2.QueueRecord:
    """A refused write is tried again."""
    return queue_pb2.QueueRecord(retried=queue_pb2.RetriedRecord(id=entry_id, request_id=request_id))
