"""Hands writes to the replicated log: many in one entry, retried under their request ids until there is an answer."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Final

from weftmesh.agent.board.write_meter import WriteMeter
from weftmesh.agent.raft.engine import RaftEngine
from weftmesh.board.v1 import command_pb2
from weftmesh.core.board.outcomes import CHANGED, Outcome
from weftmesh.core.errors import NoQuorumError, OverloadedError, UnknownOutcomeError, WeftmeshError
from weftmesh.mesh.v1 import raft_pb2

COMMANDS_PER_ENTRY_MAX: Final = 128
ENTRY_BYTES_MAX: Final = 512 * 1024
QUEUED_BYTES_MAX: Final = 64 * 1024 * 1024
"""Of the writes that wait to enter an entry, beside the bound on their number."""
ENTRIES_IN_FLIGHT_MAX: Final = 4
"""Beyond it, writes wait and share the next entry: an entry costs more than its bytes."""
WRITES_WORTH_AN_ENTRY: Final = 3
"""While an entry is under way, fewer wait for company: an entry of one write costs as much as one of three."""
COMPANY_WAIT_MAX_S: Final = 0.01
"""For so long; where the other nodes are far away, an entry may be under way for much longer."""
ATTEMPT_S: Final = 3.0
"""One try; a longer wait only delays the retry after a lost leader."""
RETRY_PAUSE_S: Final = 0.05
LAST_WORD_S: Final = 0.02
"""A try ends this long before the first deadline, so that the engine gets to say whether the write entered a log."""
EXPIRY_INTERVAL_S: Final = 0.01
"""Between two looks for writes whose time is up: each look passes over all that wait."""

_CHANGES: Final = tuple(CHANGED)


@dataclass(slots=True)
class _Waiting:
    command: command_pb2.BoardCommand
    size_bytes: int
    deadline: float
    outcome: asyncio.Future[Outcome]
    meter: WriteMeter
    maybe_in_log: bool = False
    """Whether it was proposed, and nothing says that it entered no log."""

    def fail(self, error: WeftmeshError) -> None:
        """Tell the caller, who may have got an answer or have left."""
        if not self.outcome.done():
            self.outcome.set_exception(error)
            self.meter.failed[error.reason] += 1

    def expire(self) -> None:
        """Answer at the deadline, wherever the command is by then: nobody waits for it any longer."""
        self.fail(_too_late(self.maybe_in_log))


class _Expiry:
    """Ends the wait of those whose time is up, by one timer: to arm and cancel one for each write takes 4 us of it."""

    def __init__(self, all_waiting: Callable[[], Iterable[_Waiting]]) -> None:
        self._all_waiting = all_waiting
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = math.inf

    def include(self, deadline: float) -> None:
        """Look at `deadline`, or before."""
        if deadline < self._rings_at:
            self._arm(deadline)

    def _arm(self, moment: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(moment, self._ring)
        self._rings_at = moment

    def _ring(self) -> None:
        now = asyncio.get_running_loop().time()
        self._timer, self._rings_at = None, math.inf
        following = math.inf
        for waiting in self._all_waiting():
            if waiting.deadline <= now:
                waiting.expire()
            elif not waiting.outcome.done():
                following = min(following, waiting.deadline)
        if following < math.inf:
            self._arm(max(following, now + EXPIRY_INTERVAL_S))


class CommandWriter:
    """Collects the writes of one event-loop iteration, or of the time that entries are under way, into one entry.

    A write that is alone leaves at once; one that comes while another is under way waits a moment for company.

    Every command must carry a request id: that is what makes trying again safe.

    Attributes:
        queued_max: further writes are refused; may be changed at any time.
        meter: what became of writes.
    """

    def __init__(self, engine: RaftEngine, queued_max: int, company_wait_max_s: float = COMPANY_WAIT_MAX_S) -> None:
        self._engine = engine
        self.queued_max = queued_max
        self.meter = WriteMeter()
        self._company_wait_max_s = company_wait_max_s
        self._queue: deque[_Waiting] = deque()
        self._queued_bytes = 0
        self._in_flight: dict[asyncio.Task[None], list[_Waiting]] = {}
        self._expiry = _Expiry(lambda: chain(self._queue, *self._in_flight.values()))
        self._flush_scheduled = False
        self._patience: asyncio.TimerHandle | None = None
        """Ends the wait for company."""
        self.on_acknowledged: Callable[[tuple[int, bytes]], None] | None = None
        """Told the revision and the request id of each change whose caller got the answer."""

    @property
    def pending(self) -> int:
        """Writes that wait to enter an entry."""
        return len(self._queue)

    def submit(self, command: command_pb2.BoardCommand, deadline: float) -> asyncio.Future[Outcome]:
        """Queue a write; the future brings its outcome, or a WeftmeshError.

        Args:
            command: carries a request id.
            deadline: on the event loop's clock.

        Raises:
            OverloadedError: too many writes wait already.
        """
        if len(self._queue) >= self.queued_max:
            raise self._overloaded(f"{self.queued_max} writes wait on this node already; try again in a second")
        size_bytes = command.ByteSize()
        if self._queue and self._queued_bytes + size_bytes > QUEUED_BYTES_MAX:
            size_mib = self._queued_bytes >> 20
            raise self._overloaded(f"{size_mib} MiB of writes wait on this node; try again in a second")
        self._queued_bytes += size_bytes
        loop = asyncio.get_running_loop()
        waiting = _Waiting(command, size_bytes, deadline, loop.create_future(), self.meter)
        self._queue.append(waiting)
        self._expiry.include(deadline)
        if not self._flush_scheduled:
            self._leave_or_wait(loop)
        return waiting.outcome

    def _overloaded(self, why: str) -> OverloadedError:
        self.meter.failed[OverloadedError.reason] += 1
        return OverloadedError(why)

    def _leave_or_wait(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._may_leave():
            self._flush_scheduled = True
            loop.call_soon(self._flush)
        elif self._patience is None:
            self._patience = loop.call_later(self._company_wait_max_s, self._lose_patience, loop)

    def _may_leave(self) -> bool:
        """Whether what waits is worth an entry now."""
        under_way = len(self._in_flight)
        worth_it = not under_way or len(self._queue) >= WRITES_WORTH_AN_ENTRY
        return worth_it and under_way < ENTRIES_IN_FLIGHT_MAX

    def _flush(self) -> None:
        self._flush_scheduled = False
        while self._queue and self._may_leave():
            self._send_entry()

    def _lose_patience(self, loop: asyncio.AbstractEventLoop) -> None:
        self._patience = None
        if self._queue and len(self._in_flight) < ENTRIES_IN_FLIGHT_MAX:
            self._send_entry()
        elif self._queue:
            self._leave_or_wait(loop)

    def _send_entry(self) -> None:
        batch = self._take_batch()
        task = asyncio.get_running_loop().create_task(self._carry(batch))
        self._in_flight[task] = batch
        task.add_done_callback(self._landed)

    def _landed(self, task: asyncio.Task[None]) -> None:
        for waiting in self._in_flight.pop(task):
            waiting.expire()  # all are answered, unless what carried them failed: nobody would look after them any more
        self._flush()

    def _take_batch(self) -> list[_Waiting]:
        size_bytes = 0
        count = 0
        for waiting in islice(self._queue, COMMANDS_PER_ENTRY_MAX):
            size_bytes += waiting.size_bytes
            if count and size_bytes > ENTRY_BYTES_MAX:
                break
            count += 1
        batch = [self._queue.popleft() for _ in range(count)]
        self._queued_bytes -= sum([waiting.size_bytes for waiting in batch])
        return batch

    async def _carry(self, batch: list[_Waiting]) -> None:
        """Propose until nobody waits for an answer any longer."""
        while batch := _with_time_left(batch):
            left_s = min(waiting.deadline for waiting in batch) - LAST_WORD_S - asyncio.get_running_loop().time()
            try:
                outcomes = await self._attempt(batch, min(ATTEMPT_S, left_s))
            except (NoQuorumError, UnknownOutcomeError):
                await asyncio.sleep(RETRY_PAUSE_S)  # whoever still has time tries again
            except WeftmeshError as error:
                for waiting in batch:
                    waiting.fail(_too_late(maybe_in_log=True) if waiting.maybe_in_log else error)
                return
            else:
                self._answer(batch, outcomes)
                return

    def _answer(self, batch: list[_Waiting], outcomes: Sequence[Outcome]) -> None:
        for waiting, outcome in zip(batch, outcomes, strict=True):
            if not waiting.outcome.done():
                waiting.outcome.set_result(outcome)
                self.meter.answered[outcome.kind] += 1
                self.acknowledged(waiting.command.request_id, outcome)

    def acknowledged(self, request_id: bytes, outcome: Outcome) -> None:
        """Tell `on_acknowledged` of an outcome that was answered; also for writes that came by another way."""
        if self.on_acknowledged is not None and outcome.kind in _CHANGES:
            self.on_acknowledged((outcome.revision, request_id))

    async def _attempt(self, batch: list[_Waiting], timeout_s: float) -> Sequence[Outcome]:
        surely_outside = [waiting for waiting in batch if not waiting.maybe_in_log]
        for waiting in batch:
            waiting.maybe_in_log = True
        began_s = asyncio.get_running_loop().time()
        try:
            applied = await self._engine.propose(_entry(batch), timeout_s)
        except UnknownOutcomeError:
            raise
        except WeftmeshError:
            for waiting in surely_outside:
                waiting.maybe_in_log = False
            raise
        self.meter.entry_times.observe(asyncio.get_running_loop().time() - began_s)
        outcomes: Sequence[Outcome] = applied.result
        return outcomes


def _with_time_left(batch: list[_Waiting]) -> list[_Waiting]:
    """Those that nobody has answered and that can be tried again; the others learn now what became of them."""
    now = asyncio.get_running_loop().time()
    for waiting in batch:
        if waiting.deadline - LAST_WORD_S <= now:
            waiting.expire()
    return [waiting for waiting in batch if not waiting.outcome.done()]


def _too_late(maybe_in_log: bool) -> WeftmeshError:
    if maybe_in_log:
        return UnknownOutcomeError(
            "no majority confirmed the write in time; it may still be applied. Retry with the same request id: it is "
            "applied once at most, and the retry tells"
        )
    return NoQuorumError("no majority of the voters can be reached; nothing was changed. See `weftmesh members`")


def _entry(batch: list[_Waiting]) -> bytes:
    entry = raft_pb2.MachineCommands()
    for waiting in batch:
        entry.commands.add().board.CopyFrom(waiting.command)
    return entry.SerializeToString()
