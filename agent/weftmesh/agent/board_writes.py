"""Writes to the board: from a request to its outcome, one by one or as a stream of many."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, Final, Protocol

from google.protobuf.message import Message

from weftmesh.agent.homes import MESH, Home, Homes
from weftmesh.agent.requests import Call, fresh_request_id
from weftmesh.board.v1 import board_pb2
from weftmesh.core.board.commands import Command, CreateProject, CreateTask
from weftmesh.core.board.outcomes import Outcome, OutcomeKind
from weftmesh.core.clock import HybridClock
from weftmesh.core.errors import InvalidInputError, NotFoundError, OverloadedError
from weftmesh.core.ids import parse_conflict_name, parse_project_name, parse_task_name
from weftmesh.runtime.clock import wall_ms
from weftmesh.runtime.rpc import to_write_failed, what_is_told
from weftmesh.runtime.wire.commands import encode_command
from weftmesh.runtime.wire.outcomes import applied_message, error_of
from weftmesh.runtime.wire.requests import WriteContext, command_from_request

STREAM_WRITES_MAX: Final = 8_192
"""Unanswered writes of one stream; beyond it the node stops reading until some are answered."""
BATCH_WRITES_MAX: Final = 1_024
RESPONSES_PER_MESSAGE_MAX: Final = 1_024


Begin = Callable[[board_pb2.WriteRequest], Call]
Show = Callable[[Any, Home, Outcome, board_pb2.WriteApplied], None]


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
        home = self.home_of(request)
        try:
            command = command_from_request(request, self._context(home, call))
            _check_project_known(home, command)
        except NotFoundError:
            # Another node may have acknowledged what this one has not applied yet.
            await home.engine.read_barrier(call.remaining_s)
            home = self.home_of(request)
            command = command_from_request(request, self._context(home, call))
            _check_project_known(home, command)
        validate_only = getattr(request, "validate_only", False)
        if isinstance(command, CreateProject) and command.home != MESH:
            return await self._create_local_project(command, call, validate_only)
        if validate_only:
            return home, _done(home.board.preview(command))
        return home, home.writer.submit(encode_command(_identified(command)), call.deadline)

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
        if isinstance(request, board_pb2.CreateProjectRequest):
            return self._homes.mesh
        if isinstance(request, board_pb2.CreateTaskRequest):
            return self._homes.of_project(parse_project_name(request.parent))
        if isinstance(request, board_pb2.UpdateProjectRequest):
            return self._homes.of_project(parse_project_name(request.project.name))
        if isinstance(request, board_pb2.DeleteProjectRequest | board_pb2.UndeleteProjectRequest):
            return self._homes.of_project(parse_project_name(request.name))
        name = request.task.name if isinstance(request, board_pb2.UpdateTaskRequest) else getattr(request, "name", "")
        if isinstance(request, board_pb2.ResolveConflictRequest):
            return self._homes.of_project(parse_conflict_name(name)[0].project_id)
        return self._homes.of_project(parse_task_name(name).project_id)

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
        self, requests: AsyncIterator[board_pb2.WriteRequest], begin: Begin, show: Show
    ) -> AsyncIterator[board_pb2.WriteResponse]:
        """Answer a stream of writes, batching answers as batches of writes come in.

        Args:
            requests: as they come.
            begin: starts the clock of one write.
            show: adds what a write left to its answer, where the writer asks for it.

        Raises:
            InvalidInputError: a batch inside a batch, or one too large.
        """
        stream = _WriteStream(self, begin, show)
        reader = asyncio.create_task(stream.read(requests))
        try:
            async for response in stream.responses(reader):
                yield response
        finally:
            reader.cancel()

    def start(self, request: board_pb2.WriteRequest, call: Call) -> Awaitable[tuple[Home, Outcome]]:
        """Begin one write of a stream."""
        kind = request.WhichOneof("write")
        if kind is None:
            raise InvalidInputError(f"write {request.sequence} is empty; set one of WriteRequest.write")
        return self.write(getattr(request, kind), call)


class _WriteStream:
    """The unanswered writes of one stream, and the answers that wait to leave."""

    def __init__(self, writes: BoardWrites, begin: Begin, show: Show) -> None:
        self._writes = writes
        self._begin = begin
        self._show = show
        self._unanswered = 0
        self._outbox: list[board_pb2.WriteResponse] = []
        self._ready = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    async def read(self, requests: AsyncIterator[board_pb2.WriteRequest]) -> None:
        """Take in writes until the caller has sent all."""
        try:
            async for request in requests:
                for write in _flatten(request):
                    if self._unanswered >= STREAM_WRITES_MAX:
                        self._room.clear()
                        await self._room.wait()
                    self._accept(write)
        finally:
            self._ready.set()

    def _accept(self, write: board_pb2.WriteRequest) -> None:
        self._unanswered += 1
        task = asyncio.ensure_future(self._answer(write))
        task.add_done_callback(lambda done: self._answered(done.result()))

    async def _answer(self, write: board_pb2.WriteRequest) -> board_pb2.WriteResponse:
        response = board_pb2.WriteResponse(sequence=write.sequence)
        try:
            home, outcome = await self._writes.start(write, self._begin(write))
            response.applied.CopyFrom(applied_message(outcome, home.board))
            if write.return_resource:
                self._show(getattr(write, str(write.WhichOneof("write"))), home, outcome, response.applied)
        except Exception as error:  # noqa: BLE001, the boundary of the process: one bad write must not end the stream
            response.failed.CopyFrom(to_write_failed(what_is_told("Write", error)))
        return response

    def _answered(self, response: board_pb2.WriteResponse) -> None:
        self._outbox.append(response)
        self._ready.set()

    async def responses(self, reader: asyncio.Task[None]) -> AsyncIterator[board_pb2.WriteResponse]:
        """Every answer; ends when all writes are answered and no more will come."""
        while True:
            await self._ready.wait()
            self._ready.clear()
            outbox, self._outbox = self._outbox, []
            for start in range(0, len(outbox), RESPONSES_PER_MESSAGE_MAX):
                chunk = outbox[start : start + RESPONSES_PER_MESSAGE_MAX]
                batch = board_pb2.WriteResponseBatch(responses=chunk)
                yield chunk[0] if len(chunk) == 1 else board_pb2.WriteResponse(batch=batch)
                # Not before the caller took them: one that never reads must not pile up answers here.
                self._unanswered -= len(chunk)
                self._room.set()
            if reader.done() and not self._unanswered and not self._outbox:
                reader.result()
                return


def _flatten(request: board_pb2.WriteRequest) -> Iterator[board_pb2.WriteRequest]:
    if request.WhichOneof("write") != "batch":
        yield request
        return
    writes = request.batch.writes
    if len(writes) > BATCH_WRITES_MAX:
        raise OverloadedError(f"a batch carries at most {BATCH_WRITES_MAX} writes, not {len(writes)}; send several")
    for write in writes:
        if write.WhichOneof("write") == "batch":
            raise InvalidInputError("a batch may not contain a batch")
        yield write


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
    task = home.find_task(parse_task_name(reference)) if "/" in reference else home.board.find_task(reference)
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
