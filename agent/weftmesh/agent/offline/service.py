"""The queue as callers see it: put in, list, retry, discard."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import structlog

from weftmesh.agent.board.homes import Homes
from weftmesh.agent.board.writes import BoardWrites
from weftmesh.agent.offline.entry import NAME_PREFIX, Entry
from weftmesh.agent.offline.intake import Intake
from weftmesh.agent.offline.overlay import Overlay
from weftmesh.agent.offline.queue import WriteQueue
from weftmesh.agent.serving.callers import Caller
from weftmesh.agent.serving.requests import Call, fresh_request_id, freshness_of
from weftmesh.board.v1 import board_pb2
from weftmesh.core.clock import HybridClock
from weftmesh.core.errors import InvalidInputError, PreconditionError
from weftmesh.core.ids import is_ulid, parse_project_name, parse_task_name
from weftmesh.runtime.wire.page_tokens import PageToken, decode_page_token, encode_page_token

PAGE_SIZE_DEFAULT: Final = 100
PAGE_SIZE_MAX: Final = 1_000
PAGE_BYTES_MAX: Final = 2 * 1024 * 1024
"""A page ends short beyond it, with a token to go on."""
_METHOD: Final = "ListQueuedWrites"

log = structlog.get_logger("weftmesh.offline")


class OfflineWrites:
    """What BoardService does about the queue.

    Attributes:
        queue: the writes of this node.
        overlay: the board with them.
    """

    def __init__(
        self,
        homes: Homes,
        writes: BoardWrites,
        queue: WriteQueue,
        clock: HybridClock,
        new_ulid: Callable[[], str],
    ) -> None:
        self.queue = queue
        self.overlay = Overlay(homes.mesh, queue)
        self._homes = homes
        self._intake = Intake(homes, writes, queue, self.overlay, clock, new_ulid)

    async def put(self, write: board_pb2.WriteRequest, call: Call) -> board_pb2.QueuedWrite:
        """See board.proto, QueueWrite."""
        return await self._intake.take(write, call)

    def list(
        self, request: board_pb2.ListQueuedWritesRequest, sees: Callable[[str], bool] = lambda _: True
    ) -> board_pb2.ListQueuedWritesResponse:
        """See board.proto, ListQueuedWrites; `sees` says of which projects."""
        bound = str(request.show_applied)
        token = decode_page_token(request.page_token, _METHOD, request.parent, bound)
        response = board_pb2.ListQueuedWritesResponse(
            damaged_parts=self.queue.damaged_parts, freshness=freshness_of(self._homes.mesh)
        )
        about = self._filter(request.parent)

        def concerns(write: board_pb2.QueuedWrite) -> bool:
            return about(write) and sees(write.project.removeprefix("projects/"))

        if request.show_applied and token is None:
            response.writes.extend(write for write in self.queue.applied if concerns(write))
        left_bytes = PAGE_BYTES_MAX
        size = _page_size(request.page_size)
        last = 0
        for entry, message in self._messages(int(token.cursor) if token else 0):
            if not concerns(message):
                continue
            left_bytes -= message.ByteSize()
            if last and (size == 0 or left_bytes < 0):
                page = PageToken(_METHOD, request.parent, bound, 0, str(last))
                response.next_page_token = encode_page_token(page)
                break
            response.writes.append(message)
            size, last = size - 1, entry.place
        return response

    def _messages(self, after_place: int) -> Iterator[tuple[Entry, board_pb2.QueuedWrite]]:
        for entry in self.queue:
            if entry.place > after_place:
                yield entry, self._message(entry)

    def _message(self, entry: Entry) -> board_pb2.QueuedWrite:
        state = board_pb2.QUEUED_WRITE_STATE_PENDING
        if entry.refusal is not None:
            state = board_pb2.QUEUED_WRITE_STATE_FAILED
        elif entry.id in self.queue.replaying:
            state = board_pb2.QUEUED_WRITE_STATE_REPLAYING
        return entry.message(state)

    def _filter(self, parent: str) -> Callable[[board_pb2.QueuedWrite], bool]:
        """Whether a write concerns the task or the project of this name."""
        if not parent:
            return lambda _: True
        if "tasks/" in parent:
            task_id = self.overlay.id_of(parse_task_name(parent))
            return lambda write: bool(task_id) and write.task.rpartition("/")[2] == task_id
        parse_project_name(parent)
        return lambda write: write.project == parent

    async def retry(self, request: board_pb2.RetryQueuedWriteRequest, caller: Caller) -> board_pb2.QueuedWrite:
        """See board.proto, RetryQueuedWrite."""
        entry = self.queue.get(_id_of(request.name))
        if entry.refusal is None:
            raise PreconditionError(f"{request.name} was not refused: it waits for its turn, there is nothing to retry")
        if not request.validate_only:
            await self.queue.retry(entry.id, fresh_request_id())
            log.info("a refused write is tried again", name=entry.id, by=caller.actor)
        return self._message(entry)

    async def discard(self, request: board_pb2.DiscardQueuedWriteRequest, caller: Caller) -> board_pb2.QueuedWrite:
        """See board.proto, DiscardQueuedWrite."""
        entry = self.queue.get(_id_of(request.name))
        if entry.id in self.queue.replaying:
            raise PreconditionError(f"{request.name} is on its way to the log; wait for its outcome")
        message = self._message(entry)
        if not request.validate_only:
            await self.queue.discard(entry.id)
            log.warning(
                "a queued write was discarded",
                name=entry.id,
                by=caller.actor,
                actor=message.actor,
                kind=message.write.WhichOneof("write"),
                task=message.task,
                project=message.project,
                attempts=entry.attempts,
            )
        return message


def _id_of(name: str) -> str:
    entry_id = name.removeprefix(NAME_PREFIX)
    if not is_ulid(entry_id):
        raise InvalidInputError(f"{name[:80]!r} names no queued write; write {NAME_PREFIX}ID, as the list shows it")
    return entry_id


def _page_size(asked: int) -> int:
    if asked < 0:
        raise InvalidInputError(f"page_size is {asked}; it must be 0 (for {PAGE_SIZE_DEFAULT}) to {PAGE_SIZE_MAX}")
    return min(asked or PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX)
