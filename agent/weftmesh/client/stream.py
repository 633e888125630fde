"""Many writes over one call: everything queued while a message is under way leaves with the next one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc

from weftmesh.board.v1 import board_pb2
from weftmesh.client.errors import (
    REQUEST_ID_FIELD,
    from_call_error,
    is_retryable,
    unknown_outcome,
    unreachable,
)
from weftmesh.client.limits import (
    BATCH_BYTES_MAX,
    RETRY_TIME_MIN_S,
    STREAM_FAILURES_MAX,
    UNANSWERED_WRITES_MAX,
    WRITES_PER_BATCH_MAX,
)
from weftmesh.client.retry import Backoff, pause_after
from weftmesh.core.errors import NodeUnreachableError, OverloadedError, UnknownOutcomeError, WeftmeshError
from weftmesh.runtime.rpc import error_from_write_failed

Answer = asyncio.Future[board_pb2.WriteApplied]


@dataclass(slots=True, eq=False)
class _Pending:
    """A write that nobody has answered yet."""

    entry: board_pb2.WriteRequest
    size_bytes: int
    answer: Answer
    deadline: float
    sent: bool = False
    maybe_applied: bool = False
    """Whether an attempt ended without saying what became of it."""
    backoff: Backoff | None = None
    """Made for the first retry."""

    @property
    def request_id(self) -> str:
        request: Any = getattr(self.entry, str(self.entry.WhichOneof("write")))
        return str(request.request_id)


class WriteStream:
    """The client's end of `BoardService.Write`. Opened with the first write, opened again after a failure.

    A write is sent again, under its request id, when the stream broke before its answer or the node had no quorum;
    `WriteStream` itself never gives up before the write's deadline unless the stream fails `STREAM_FAILURES_MAX` times
    in a row.
    """

    def __init__(
        self, open_call: Callable[[], Any], target: str, *, unanswered_max: int = UNANSWERED_WRITES_MAX
    ) -> None:
        """`open_call` starts the bidirectional call; `target` names the node in messages."""
        self._open_call = open_call
        self._target = target
        self._unsent: deque[_Pending] = deque()
        self._unanswered: dict[int, _Pending] = {}
        self._open: set[_Pending] = set()
        self._slots = asyncio.Semaphore(unanswered_max)
        self._wake = asyncio.Event()
        self._next_sequence = 1
        self._failures = 0
        self._backoff = Backoff()
        self._timer: asyncio.TimerHandle | None = None
        self._runner: asyncio.Task[None] | None = None

    async def submit(self, entry: board_pb2.WriteRequest, timeout_s: float) -> Answer:
        """Queue a write, once there is room for it; the future brings its answer or a WeftmeshError.

        Raises:
            OverloadedError: there was no room before the timeout; nothing was sent.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        try:
            # A timeout costs more than all the rest; without a queue nothing waits here.
            async with asyncio.timeout_at(deadline) if self._slots.locked() else nullcontext():
                await self._slots.acquire()
        except TimeoutError:
            raise OverloadedError(
                f"too many writes wait for {self._target} already; this one was not sent; try it later"
            ) from None
        answer: Answer = loop.create_future()
        pending = _Pending(entry, entry.ByteSize(), answer, deadline)
        answer.add_done_callback(partial(self._forget, pending))
        self._open.add(pending)
        self._expire_at(deadline)
        self._queue(pending)
        if self._runner is None:
            self._runner = loop.create_task(self._run())
        return answer

    async def close(self) -> None:
        """Close the call. Writes that still wait fail, as their outcome is not known."""
        if self._runner is not None:
            self._runner.cancel()
            await asyncio.gather(self._runner, return_exceptions=True)
            self._runner = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for pending in list(self._open):
            self._fail(pending, self._lost(pending))

    def _queue(self, pending: _Pending) -> None:
        pending.entry.sequence = self._next_sequence
        self._next_sequence += 1
        self._unanswered[pending.entry.sequence] = pending
        self._unsent.append(pending)
        self._wake.set()

    async def _run(self) -> None:
        """Keep a call open while there is something to write."""
        while True:
            await self._wake.wait()
            try:
                await self._converse(self._open_call())
            except grpc.aio.AioRpcError as error:
                await self._recover(from_call_error(error, self._target))
            else:
                await self._recover(unreachable(self._target, "it ended the write stream"))

    async def _converse(self, call: Any) -> None:
        """Send what is queued and take in answers until the call ends, with an AioRpcError unless it ended cleanly."""
        sender = asyncio.create_task(self._send(call))
        try:
            while (response := await call.read()) is not grpc.aio.EOF:
                self._failures = 0
                self._backoff.reset()
                self._take_in(response)
        finally:
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)
            call.cancel()

    async def _send(self, call: Any) -> None:
        try:
            while True:
                await self._wake.wait()
                if batch := self._take_batch():
                    await call.write(_message(batch))
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            return  # the reading side sees why the call ended

    def _take_batch(self) -> list[_Pending]:
        batch: list[_Pending] = []
        size_bytes = 0
        now = asyncio.get_running_loop().time()
        while self._unsent and len(batch) < WRITES_PER_BATCH_MAX:
            if self._unsent[0].answer.done():
                self._unsent.popleft()
                continue
            size_bytes += self._unsent[0].size_bytes
            if batch and size_bytes > BATCH_BYTES_MAX:
                break
            pending = self._unsent.popleft()
            pending.sent = True
            pending.entry.timeout_ms = max(round((pending.deadline - now) * 1000), 1)
            batch.append(pending)
        if not self._unsent:
            self._wake.clear()
        return batch

    def _take_in(self, response: board_pb2.WriteResponse) -> None:
        responses: Iterable[board_pb2.WriteResponse] = (response,)
        if response.HasField("batch"):
            responses = response.batch.responses
        for answer in responses:
            pending = self._unanswered.get(answer.sequence)
            if pending is None or pending.answer.done():
                continue
            if answer.HasField("applied"):
                pending.answer.set_result(answer.applied)
            else:
                self._retry_or_fail(pending, error_from_write_failed(answer.failed))

    def _retry_or_fail(self, pending: _Pending, error: WeftmeshError) -> None:
        loop = asyncio.get_running_loop()
        pending.backoff = pending.backoff or Backoff()
        pause_s = pause_after(error, pending.backoff)
        if not is_retryable(error):
            self._fail(pending, error)
            return
        pending.maybe_applied |= isinstance(error, UnknownOutcomeError | NodeUnreachableError)
        if loop.time() + pause_s + RETRY_TIME_MIN_S >= pending.deadline:
            self._fail(pending, self._last_word(pending, error))
            return
        self._unanswered.pop(pending.entry.sequence, None)
        loop.call_later(pause_s, self._queue_again, pending)

    def _queue_again(self, pending: _Pending) -> None:
        if not pending.answer.done():
            self._queue(pending)

    async def _recover(self, error: WeftmeshError) -> None:
        """After a failed call: queue again what it left without an answer, and pause."""
        self._failures += 1
        for pending in self._unanswered.values():
            pending.maybe_applied |= pending.sent
        if not is_retryable(error) or self._failures > STREAM_FAILURES_MAX:
            for pending in list(self._unanswered.values()):
                lost = isinstance(error, NodeUnreachableError | UnknownOutcomeError) and pending.sent
                self._fail(pending, self._lost(pending) if lost else error)
            self._failures = 0
        self._unsent = deque(pending for pending in self._unanswered.values() if not pending.answer.done())
        if not self._unsent:
            self._wake.clear()
        await asyncio.sleep(pause_after(error, self._backoff))
        if self._unsent:
            self._wake.set()

    def _expire_at(self, deadline: float) -> None:
        """See to it that expired writes are told by `deadline`: one timer for all, which many writes never move."""
        if self._timer is not None:
            if self._timer.when() <= deadline:
                return
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(deadline, self._expire)

    def _expire(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        for pending in [pending for pending in self._open if pending.deadline <= now]:
            self._fail(pending, self._lost(pending))
        left = [pending.deadline for pending in self._open if not pending.answer.done()]
        if left:
            self._expire_at(min(left))

    def _last_word(self, pending: _Pending, error: WeftmeshError) -> WeftmeshError:
        """What the writer is told when there is no time for another attempt; `error` is what the last one came to."""
        if isinstance(error, UnknownOutcomeError):
            error.metadata.setdefault(REQUEST_ID_FIELD, pending.request_id)
            return error
        return self._lost(pending) if pending.maybe_applied else error

    def _lost(self, pending: _Pending) -> WeftmeshError:
        if pending.sent:
            return unknown_outcome(self._target, pending.request_id)
        return unreachable(self._target, "the write was not sent")

    def _forget(self, pending: _Pending, _answer: Answer) -> None:
        self._open.discard(pending)
        self._unanswered.pop(pending.entry.sequence, None)
        self._slots.release()

    @staticmethod
    def _fail(pending: _Pending, error: WeftmeshError) -> None:
        if not pending.answer.done():
            pending.answer.set_exception(error)


def _message(batch: list[_Pending]) -> board_pb2.WriteRequest:
    if len(batch) == 1:
        return batch[0].entry
    message = board_pb2.WriteRequest()
    message.batch.writes.extend(pending.entry for pending in batch)
    return message
