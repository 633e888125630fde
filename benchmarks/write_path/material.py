"""The same writes in every form that they take on their way."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from weftmesh.agent.board.command_writer import COMMANDS_PER_ENTRY_MAX
from weftmesh.agent.board.homes import MESH
from weftmesh.agent.board.machines import LogMachines
from weftmesh.board.v1 import board_pb2, command_pb2
from weftmesh.core.board.commands import Command, CreateProject, CreateTask, Header, UpdateTask
from weftmesh.core.board.machine import Board
from weftmesh.core.board.model import FieldValue, Status
from weftmesh.core.clock import HybridClock
from weftmesh.core.ids import new_ulid
from weftmesh.mesh.v1 import raft_pb2
from weftmesh.runtime.clock import wall_ms
from weftmesh.runtime.wire.commands import encode_command

PROJECT: Final = "BENCH"
TITLE: Final = "bench"
DESCRIPTION: Final = "x" * 251


class Material:
    """The same writes in every form that they take on their way."""

    def __init__(self, writes: int) -> None:
        rng = secrets.SystemRandom()
        self.ids = [new_ulid(wall_ms(), rng) for _ in range(writes)]
        self.project = CreateProject(header(), PROJECT, "Benchmark")
        self.creates = [_create_request(task_id) for task_id in self.ids]
        self.updates = [_update_request(task_id) for task_id in self.ids]
        self.create_commands: list[Command] = [self._create(task_id) for task_id in self.ids]
        self.update_commands = [self._update(task_id) for task_id in self.ids]

    @staticmethod
    def _create(task_id: str) -> CreateTask:
        return CreateTask(header(), PROJECT, task_id, {"title": TITLE, "description": DESCRIPTION})

    @staticmethod
    def _update(task_id: str, base: Mapping[str, FieldValue] | None = None, version: int = 0) -> Command:
        return UpdateTask(header(), task_id, {"status": Status.DOING}, base or {}, version)

    def updates_with_base(self) -> list[Command]:
        """As a form in a browser sends them."""
        return [self._update(task_id, {"status": Status.TODO}, 1) for task_id in self.ids]

    def board(self, *batches: Sequence[Command]) -> Board:
        """A board that has applied `batches`."""
        board = Board()
        board.apply(self.project)
        for commands in batches:
            for command in commands:
                board.apply(command)
        return board

    def machine(self) -> LogMachines:
        """A board behind a log."""
        machine = LogMachines(MESH, HybridClock())
        machine.apply(1, entry_of([encode_command(self.project)]), 0)
        return machine


def header() -> Header:
    """Of a write by ann, with a request id of its own."""
    return Header("ann@n1", wall_ms() << 16, uuid.uuid4().bytes, 7)


def _create_request(task_id: str) -> board_pb2.CreateTaskRequest:
    task = board_pb2.Task(title=TITLE, description=DESCRIPTION)
    return board_pb2.CreateTaskRequest(
        parent=f"projects/{PROJECT}", task_id=task_id, task=task, request_id=str(uuid.uuid4())
    )


def _update_request(task_id: str) -> board_pb2.UpdateTaskRequest:
    task = board_pb2.Task(name=f"projects/{PROJECT}/tasks/{task_id}", status=board_pb2.TASK_STATUS_DOING)
    request = board_pb2.UpdateTaskRequest(task=task, request_id=str(uuid.uuid4()))
    request.update_mask.paths.append("status")
    return request


def entry_of(commands: Sequence[command_pb2.BoardCommand]) -> bytes:
    """A log entry of these commands."""
    items = [raft_pb2.MachineCommand(board=command) for command in commands]
    return raft_pb2.MachineCommands(commands=items).SerializeToString()


def entries_of(commands: Sequence[Command]) -> list[bytes]:
    """Log entries as full as they get."""
    messages = [encode_command(command) for command in commands]
    return [entry_of(chunk) for chunk in chunks_of(messages, COMMANDS_PER_ENTRY_MAX)]


def chunks_of(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """Pieces of `size` items, the last of what is left."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
