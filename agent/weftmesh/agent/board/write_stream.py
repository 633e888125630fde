"""A stream of many writes: taken in without a task for each, answered in the messages that the answers are built in."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any, Final, Protocol

from google.protobuf.message import Message

from weftmesh.agent.board.homes import Home
from weftmesh.agent.serving.requests import Call
from weftmesh.board.v1 import board_pb2
from weftmesh.core.board.outcomes import Outcome
from weftmesh.core.errors import InvalidInputError, OverloadedError
from weftmesh.runtime.rpc import to_write_failed, what_is_told
from weftmesh.runtime.wire.outcomes import error_of, fill_applied

STREAM_WRITES_MAX: Final = 8_192
"""Unanswered writes of one stream; beyond it the node stops reading until some are answered."""
BATCH_WRITES_MAX: Final = 1_024
RESPONSES_PER_MESSAGE_MAX: Final = 1_024
MESSAGE_BYTES_SOFT_MAX: Final = 1024 * 1024
"""A message of answers takes no more beyond it: one answer is smaller than that, and a message carries 4 MiB."""
WRITES_PER_TURN: Final = 128
"""Taken in before others get their turn on the event loop: about 5 ms."""

Begin = Callable[[board_pb2.WriteRequest], Call]
Settled = Callable[[board_pb2.WriteRequest, BaseException | None], None]
Show = Callable[[Any, Home, Outcome, board_pb2.WriteApplied], None]


def unnoticed(_write: board_pb2.WriteRequest, _error: BaseException | None) -> None:
    """Nobody wants to know."""


class Writes(Protocol):
    """Carries out single writes."""

    def begin_at_once(self, request: Message, call: Call) -> tuple[Home, asyncio.Future[Outcome]] | None:
        """Hand a write to its log now; None for one that something has to be awaited for first.

        Raises:
            WeftmeshError: the write is refused.
        """

    async def write(self, request: Message, call: Call) -> tuple[Home, Outcome]:
        """Carry out a write.

        Raises:
            WeftmeshError: the write was refused, or its outcome is not known in time.
        """


class WriteStream:
    """The unanswered writes of one stream, and the answers that wait to leave.

    Args:
        writes: carries them out.
        begin: starts the clock of one write.
        show: adds what a write left to its answer, where the writer asks for it.
        settled: told of each write that was begun, and of why it was refused.
    """

    def __init__(self, writes: Writes, begin: Begin, show: Show, settled: Settled = unnoticed) -> None:
        self._writes = writes
        self._begin = begin
        self._show = show
        self._settled = settled
        self._unanswered = 0
        self._outbox = _Outbox()
        self._ready = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._waiting_first: set[asyncio.Task[None]] = set()

    async def read(self, requests: AsyncIterator[board_pb2.WriteRequest]) -> None:
        """Take in writes until the caller has sent all.

        Raises:
            InvalidInputError: a batch inside a batch.
            OverloadedError: a batch that is too large.
        """
        try:
            async for request in requests:
                for number, write in enumerate(_flatten(request), 1):
                    if self._unanswered >= STREAM_WRITES_MAX:
                        self._room.clear()
                        await self._room.wait()
                    self._accept(write)
                    if number % WRITES_PER_TURN == 0:
                        await asyncio.sleep(0)
        finally:
            self._ready.set()

    async def responses(self, reader: asyncio.Task[None]) -> AsyncIterator[board_pb2.WriteResponse]:
        """Every answer; ends when all writes are answered and no more will come."""
        while True:
            await self._ready.wait()
            self._ready.clear()
            while (message := self._outbox.take()) is not None:
                answers = message.batch.responses
                count = len(answers)
                yield answers[0] if count == 1 else message
                # Not before the caller took them: one that never reads must not pile up answers here.
                self._unanswered -= count
                self._room.set()
            if reader.done() and not self._unanswered:
                reader.result()
                return

    def _accept(self, write: board_pb2.WriteRequest) -> None:
        """Nearly every write is on its way to the log at return; its answer needs a callback, and no task."""
        self._unanswered += 1
        try:
            request = _request_of(write)
            call = self._begin(write)
            begun = self._writes.begin_at_once(request, call)
        except Exception as error:  # noqa: BLE001, the boundary of the process: one bad write must not end the stream
            self._refuse(write, error)
            return
        if begun is None:
            task = asyncio.get_running_loop().create_task(self._carry_out(write, request, call))
            self._waiting_first.add(task)
            task.add_done_callback(self._waiting_first.discard)
        else:
            home, pending = begun
            pending.add_done_callback(partial(self._decided, write, home))

    async def _carry_out(self, write: board_pb2.WriteRequest, request: Message, call: Call) -> None:
        try:
            home, outcome = await self._writes.write(request, call)
        except Exception as error:  # noqa: BLE001, as above
            self._refuse(write, error)
        else:
            self._answer(write, home, outcome)

    def _decided(self, write: board_pb2.WriteRequest, home: Home, pending: asyncio.Future[Outcome]) -> None:
        try:
            outcome = pending.result()
            refusal = None if outcome.ok else error_of(outcome, home.board)
        except Exception as error:  # noqa: BLE001, as above; without an answer the stream would never end
            self._refuse(write, error)
            return
        if refusal is None:
            self._answer(write, home, outcome)
        else:
            self._refuse(write, refusal)

    def _answer(self, write: board_pb2.WriteRequest, home: Home, outcome: Outcome) -> None:
        answer = self._outbox.add(write.sequence)
        self._settled(write, None)
        try:
            fill_applied(answer.applied, outcome, home.board)
            if write.return_resource:
                self._show(_request_of(write), home, outcome, answer.applied)
                self._outbox.weigh(answer)
        except Exception as error:  # noqa: BLE001, as above
            answer.failed.CopyFrom(to_write_failed(what_is_told("Write", error)))
        self._ready.set()

    def _refuse(self, write: board_pb2.WriteRequest, error: Exception) -> None:
        self._settled(write, error)
        answer = self._outbox.add(write.sequence)
        answer.failed.CopyFrom(to_write_failed(what_is_told("Write", error)))
        self._outbox.weigh(answer)
        self._ready.set()


class _Outbox:
    """Answers in the order of their outcomes, each built in the message that carries it: a copy takes as long again."""

    def __init__(self) -> None:
        self._messages: deque[board_pb2.WriteResponse] = deque()
        self._room = 0
        """Answers that the last message still takes."""
        self._room_bytes = 0

    def add(self, sequence: int) -> board_pb2.WriteResponse:
        """An empty answer that will leave after those before it."""
        if not self._messages or self._room <= 0 or self._room_bytes <= 0:
            self._messages.append(board_pb2.WriteResponse())
            self._room, self._room_bytes = RESPONSES_PER_MESSAGE_MAX, MESSAGE_BYTES_SOFT_MAX
        self._room -= 1
        answer = self._messages[-1].batch.responses.add()
        answer.sequence = sequence
        return answer

    def weigh(self, answer: board_pb2.WriteResponse) -> None:
        """Count the size of an answer that may be large."""
        self._room_bytes -= answer.ByteSize()

    def take(self) -> board_pb2.WriteResponse | None:
        """The next message; None when there is none."""
        return self._messages.popleft() if self._messages else None


def _request_of(write: board_pb2.WriteRequest) -> Message:
    kind = write.WhichOneof("write")
    if kind is None:
        raise InvalidInputError(f"write {write.sequence} is empty; set one of WriteRequest.write")
    request: Message = getattr(write, kind)
    return request


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
