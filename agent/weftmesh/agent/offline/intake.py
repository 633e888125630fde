"""The way into the queue: a write is checked against what this node knows, and everything about it is fixed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from weftmesh.agent.board.homes import MESH, Homes
from weftmesh.agent.board.writes import BoardWrites
from weftmesh.agent.offline.entry import Entry, applied_write
from weftmesh.agent.offline.overlay import Overlay
from weftmesh.agent.offline.queue import WriteQueue
from weftmesh.agent.serving.requests import Call, fresh_request_id
from weftmesh.board.v1 import board_pb2
from weftmesh.core.board.commands import Command, CreateTask
from weftmesh.core.board.pending import ProjectCommand, applied_change, applied_outcome, as_queued, touched
from weftmesh.core.clock import HybridClock
from weftmesh.core.errors import InvalidInputError, NotFoundError, PreconditionError
from weftmesh.core.ids import is_ulid, parse_task_name
from weftmesh.runtime.clock import wall_ms
from weftmesh.runtime.wire.outcomes import applied_message, error_of
from weftmesh.runtime.wire.requests import WriteContext, command_from_request

APPLIED = board_pb2.QUEUED_WRITE_STATE_APPLIED
PENDING = board_pb2.QUEUED_WRITE_STATE_PENDING


class Intake:
    """Takes writes into the queue, one after another: each is laid over those before it."""

    def __init__(
        self,
        homes: Homes,
        writes: BoardWrites,
        queue: WriteQueue,
        overlay: Overlay,
        clock: HybridClock,
        new_ulid: Callable[[], str],
    ) -> None:
        self._homes = homes
        self._writes = writes
        self._queue = queue
        self._overlay = overlay
        self._clock = clock
        self._new_ulid = new_ulid
        self._turn = asyncio.Lock()

    async def take(self, write: board_pb2.WriteRequest, call: Call) -> board_pb2.QueuedWrite:
        """Queue one write durably; what needs no queue is applied now.

        Raises:
            WeftmeshError: the board refuses the write already, with the queue laid over it; or the queue is full, or
                its disk failed.
        """
        request = _single(write)
        if self._stays_here(request):
            return await self._apply_here(request, call)
        try:
            return await self._queue_up(write, request, call)
        except NotFoundError:
            engine = self._homes.mesh.engine
            if not engine.status().quorum:
                raise
            # Another node may have acknowledged what this one has not applied yet.
            await engine.read_barrier(call.remaining_s)
            return await self._queue_up(write, request, call)

    async def _queue_up(self, write: board_pb2.WriteRequest, request: Any, call: Call) -> board_pb2.QueuedWrite:
        async with self._turn:
            command = self._fixed(request, call)
            queued = self._queue.by_request(command.header.request_id)
            if queued is not None:
                return self._again(queued, command)
            before = applied_outcome(self._homes.mesh.board, command)
            if before is not None and not before.ok:
                raise error_of(before, self._homes.mesh.board)
            if before is not None:
                done = Entry("", _kept(write), command, self._project_of(command))
                return applied_write(done, before, self._homes.mesh.board)
            entry_id = "" if request.validate_only else self._new_ulid()
            entry = Entry(entry_id, _kept(write), command, self._project_of(command))
            entry.size_bytes = entry.record().ByteSize()
            if not request.validate_only:
                await self._queue.join(entry)
            return entry.message(PENDING)

    def _stays_here(self, request: Any) -> bool:
        """Whether the write is for this node's own board, which always has a quorum."""
        if isinstance(request, board_pb2.CreateProjectRequest):
            return request.project.home not in ("", MESH)
        return self._writes.home_of(request) is self._homes.local

    async def _apply_here(self, request: Any, call: Call) -> board_pb2.QueuedWrite:
        home, outcome = await self._writes.write(request, call)
        return board_pb2.QueuedWrite(
            actor=call.caller.actor, state=APPLIED, applied=applied_message(outcome, home.board)
        )

    def _fixed(self, request: Any, call: Call) -> Command:
        if self._stays_here(request):
            raise PreconditionError("the project has just been made on this node; send the write again")
        board = self._homes.mesh.board
        command: Any = command_from_request(request, self._context(call))
        if not command.header.request_id:
            command = replace(command, header=replace(command.header, request_id=fresh_request_id()))
        if self._queue.by_request(command.header.request_id) is not None or applied_change(board, command) is not None:
            return command  # type: ignore[no-any-return]
        laid = self._overlay.draft({*touched(command), self._project_of(command)})
        fixed = as_queued(command, board, laid)
        outcome = laid.preview(fixed)
        if not outcome.ok:
            raise error_of(outcome, laid)
        return fixed

    def _project_of(self, command: Command) -> str:
        if isinstance(command, ProjectCommand | CreateTask):
            return command.project_id
        return self._overlay.project_of(command.task_id)

    def _context(self, call: Call) -> WriteContext:
        return WriteContext(
            actor=call.caller.actor,
            user=call.caller.user or call.caller.actor,
            stamp=self._clock.tick(wall_ms()),
            new_ulid=self._new_ulid,
            resolve=self._resolve,
            custom_keys=self._custom_keys,
        )

    def _resolve(self, reference: str) -> str:
        """The id of the task that a resource name, a readable key or a ULID means; keys are those of the board."""
        name = reference if "/" in reference else f"tasks/{reference}"
        task_id = reference if is_ulid(reference) else self._overlay.id_of(parse_task_name(name))
        if not task_id or not self._overlay.project_of(task_id):
            raise NotFoundError(f"this node knows no task {reference}, and its queue makes none")
        return task_id

    def _custom_keys(self, task_id: str) -> tuple[str, ...]:
        task = self._overlay.task(task_id)
        return tuple(task.custom or ()) if task else ()

    def _again(self, queued: Entry, command: Command) -> board_pb2.QueuedWrite:
        """The answer to a write that is queued already: its caller did not get the first one."""
        if queued.command.header.request_digest != command.header.request_digest:
            raise InvalidInputError(
                f"request id {command.header.request_id.hex()} was used for another queued write; send a new one",
                reason="REQUEST_ID_REUSED",
            )
        failed = board_pb2.QUEUED_WRITE_STATE_FAILED
        return queued.message(PENDING if queued.refusal is None else failed)


def _single(write: board_pb2.WriteRequest) -> Any:
    kind = write.WhichOneof("write")
    if kind is None or kind == "batch":
        raise InvalidInputError("queue one write at a time; set one of WriteRequest.write but batch")
    return getattr(write, kind)


def _kept(write: board_pb2.WriteRequest) -> board_pb2.WriteRequest:
    kept = board_pb2.WriteRequest()
    kept.CopyFrom(write)
    kept.sequence = 0
    return kept
