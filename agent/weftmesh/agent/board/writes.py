"""Writes to the board: from a request to its outcome, one by one or as a stream of many."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Any, Protocol

from google.protobuf.message import Message

from weftmesh.agent.board.homes import MESH, Home, Homes
from weftmesh.agent.board.write_stream import Begin, Settled, Show, WriteStream, unnoticed
from weftmesh.agent.serving.requests import Call, fresh_request_id
from weftmesh.board.v1 import board_pb2
from weftmesh.core.board.commands import Command, CreateProject, CreateTask
from weftmesh.core.board.outcomes import Outcome, OutcomeKind
from weftmesh.core.clock import HybridClock
from weftmesh.core.errors import NotFoundError
from weftmesh.core.ids import parse_conflict_name
from weftmesh.runtime.clock import wall_ms
from weftmesh.runtime.wire.commands import encode_command
from weftmesh.runtime.wire.outcomes import error_of
from weftmesh.runtime.wire.requests import WriteContext, command_from_request, project_in, task_in


class WriteMessage(Protocol):
    """Any request of WriteRequest's oneof."""

    request_id: str
    validate_only: bool


class BoardWrites:
    """Turns requests into commands and carries them to the log of the right home."""

    def __init__(self, homes: Homes, clock: HybridClock, new_ulid: Callable[[], str]) -> None:
        self._homes = homes
        self._clock = clock
        self._new_ulid = new_ulid

    async def write(self, request: Message, call: Call) -> tuple[Home, Outcome]:
        """Carry out one write, or say what would come of it when it is `validate_only`.

        Raises:
            WeftmeshError: the write was refused, or its outcome is not known in time.
        """
        home, pending = await self._begin(request, call)
        outcome = await pending
        if not outcome.ok:
            raise error_of(outcome, home.board)
        return home, outcome

    async def _begin(self, request: Message, call: Call) -> tuple[Home, Awaitable[Outcome]]:
        try:
            home, command = self._command(request, call)
        except NotFoundError:
            # Another node may have acknowledged what this one has not applied yet.
            await self.home_of(request).engine.read_barrier(call.remaining_s)
            home, command = self._command(request, call)
        if isinstance(command, CreateProject) and command.home != MESH:
            return await self._create_local_project(command, call, getattr(request, "validate_only", False))
        return home, self._hand_over(home, command, request, call)

    def begin_at_once(self, request: Message, call: Call) -> tuple[Home, asyncio.Future[Outcome]] | None:
        """Hand a write to its log now; None for one that something has to be awaited for first.

        Raises:
            WeftmeshError: the write is refused.
        """
        try:
            home, command = self._command(request, call)
        except NotFoundError:
            return None
        if isinstance(command, CreateProject) and command.home != MESH:
            return None
        return home, self._hand_over(home, command, request, call)

    def _command(self, request: Message, call: Call) -> tuple[Home, Command]:
        """What a request comes to on the board it is for."""
        home = self.home_of(request)
        command = command_from_request(request, self._context(home, call))
        _check_project_known(home, command)
        return home, command

    @staticmethod
    def _hand_over(home: Home, command: Command, request: Message, call: Call) -> asyncio.Future[Outcome]:
        if getattr(request, "validate_only", False):
            return _done(home.board.preview(command))
        return home.writer.submit(encode_command(_identified(command)), call.deadline)

    async def _create_local_project(
        self, command: CreateProject, call: Call, validate_only: bool
    ) -> tuple[Home, Awaitable[Outcome]]:
        """A project that stays on this node: the mesh learns its name first, so that the name is unique everywhere."""
        mesh, local = self._homes.mesh, self._homes.of_name(command.home, command.project_id)
        command = _identified(command)
        reserve = replace(command, title="")
        preview = local.board.preview(command)
        if not preview.ok:  # a name that is reserved for nothing would be lost
            raise error_of(preview, local.board)
        outcome = mesh.board.preview(reserve)
        if not validate_only:
            outcome = await mesh.writer.submit(encode_command(reserve), call.deadline)
        if not outcome.ok and not self._is_reserved(command, outcome):
            raise error_of(outcome, mesh.board)
        return local, _done(preview) if validate_only else local.writer.submit(encode_command(command), call.deadline)

    def _is_reserved(self, command: CreateProject, outcome: Outcome) -> bool:
        """Whether this node has the name already, from an attempt that went no further."""
        project = self._homes.mesh.board.project(command.project_id)
        return outcome.kind is OutcomeKind.ALREADY_EXISTS and project is not None and project.home == command.home

    def home_of(self, request: Message) -> Home:
        """The home that a write is for.

        Raises:
            WeftmeshError: its name is none, or its project lives on another node.
        """
        if isinstance(request, board_pb2.CreateTaskRequest):
            return self._homes.of_project(project_in(request.parent))
        if isinstance(request, board_pb2.UpdateTaskRequest):
            return self._homes.of_project(task_in(request.task.name).project_id)
        if isinstance(request, board_pb2.CreateProjectRequest):
            return self._homes.mesh
        if isinstance(request, board_pb2.UpdateProjectRequest):
            return self._homes.of_project(project_in(request.project.name))
        if isinstance(request, board_pb2.DeleteProjectRequest | board_pb2.UndeleteProjectRequest):
            return self._homes.of_project(project_in(request.name))
        name = getattr(request, "name", "")
        if isinstance(request, board_pb2.ResolveConflictRequest):
            return self._homes.of_project(parse_conflict_name(name)[0].project_id)
        return self._homes.of_project(task_in(name).project_id)

    def _context(self, home: Home, call: Call) -> WriteContext:
        return WriteContext(
            actor=call.caller.actor,
            user=call.caller.user or call.caller.actor,
            stamp=self._clock.tick(wall_ms()),
            new_ulid=self._new_ulid,
            resolve=lambda reference: _resolve(home, reference),
            custom_keys=lambda task_id: _custom_keys(home, task_id),
        )

    async def stream(
        self, requests: AsyncIterator[board_pb2.WriteRequest], begin: Begin, show: Show, settled: Settled = unnoticed
    ) -> AsyncIterator[board_pb2.WriteResponse]:
        """Answer a stream of writes, batching answers as batches of writes come in.

        Args:
            requests: as they come.
            begin: starts the clock of one write.
            show: adds what a write left to its answer, where the writer asks for it.
            settled: told of each write that was begun, and of why it was refused.

        Raises:
            InvalidInputError: a batch inside a batch, or one too large.
        """
        stream = WriteStream(self, begin, show, settled)
        reader = asyncio.create_task(stream.read(requests))
        try:
            async for response in stream.responses(reader):
                yield response
        finally:
            reader.cancel()


def _identified(command: Any) -> Any:
    """The same command with a request id: without one the node could not retry it safely."""
    if command.header.request_id:
        return command
    return replace(command, header=replace(command.header, request_id=fresh_request_id()))


def _check_project_known(home: Home, command: Command) -> None:
    """A task enters no log before it is known where its project lives: it may be one that stays on its node."""
    if isinstance(command, CreateTask) and home.board.project(command.project_id) is None:
        raise NotFoundError(f"there is no project {command.project_id!r}; create it, or list the projects")


def _resolve(home: Home, reference: str) -> str:
    """The id of the task that a resource name, a readable key or a ULID means."""
    task = home.find_task(task_in(reference)) if "/" in reference else home.board.find_task(reference)
    if task is None:
        raise NotFoundError(f"there is no task {reference}")
    return task.id


def _custom_keys(home: Home, task_id: str) -> Iterable[str]:
    task = home.board.find_task(task_id)
    return tuple(task.custom or ()) if task else ()


def _done(outcome: Outcome) -> asyncio.Future[Outcome]:
    future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    future.set_result(outcome)
    return future
