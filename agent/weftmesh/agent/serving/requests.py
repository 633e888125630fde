"""What every board call shares: who calls, until when, how fresh, and where the named things live."""

from __future__ import annotations

import asyncio
import os
from typing import Any, Final

import grpc

from weftmesh.agent.board.homes import Home
from weftmesh.agent.serving.callers import Caller, Callers
from weftmesh.board.v1 import board_pb2
from weftmesh.core.errors import NoQuorumError, OutOfRangeError
from weftmesh.core.records import record
from weftmesh.runtime.clock import wall_ms

DEADLINE_DEFAULT_S: Final = 15.0
"""For a caller that set none."""
DEADLINE_MAX_S: Final = 60.0
DEADLINE_MARGIN_S: Final = 0.2
"""An answer that says why needs a moment to travel before the caller gives up, on a busy machine too."""
DEADLINE_MARGIN_SHARE: Final = 0.1
"""Of a short deadline the margin takes no more than this."""


@record(frozen=True, slots=True)
class Call:
    """One call in progress."""

    caller: Caller
    deadline: float
    """On the event loop's clock."""

    @property
    def remaining_s(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.deadline - asyncio.get_running_loop().time())

    @classmethod
    def within(cls, caller: Caller, remaining_s: float) -> Call:
        """A call whose caller gives up in `remaining_s`, which has to learn why before."""
        margin_s = min(DEADLINE_MARGIN_S, remaining_s * DEADLINE_MARGIN_SHARE)
        allowed_s = max(0.0, min(remaining_s - margin_s, DEADLINE_MAX_S))
        return cls(caller=caller, deadline=asyncio.get_running_loop().time() + allowed_s)


def begin_call(callers: Callers, context: grpc.aio.ServicerContext[Any, Any]) -> Call:
    """Authenticate the caller and fix the deadline."""
    return call_of(callers.of(context), context)


def call_of(caller: Caller, context: grpc.aio.ServicerContext[Any, Any]) -> Call:
    """Fix the deadline of an authenticated caller's call."""
    remaining_s = context.time_remaining()
    return Call.within(caller, DEADLINE_DEFAULT_S if remaining_s is None else remaining_s)


async def await_freshness(home: Home, call: Call, consistency: int, min_revision: int) -> None:
    """Return once `home` is as fresh as the reader asked for.

    Raises:
        NoQuorumError: a linearizable read, and no majority answers.
        OutOfRangeError: `min_revision` was not reached in time.
    """
    if consistency == board_pb2.READ_CONSISTENCY_LINEARIZABLE:
        await home.engine.read_barrier(call.remaining_s)
    if min_revision > home.board.revision:
        try:
            async with asyncio.timeout(call.remaining_s):
                await home.feed.wait_for(min_revision)
        except TimeoutError:
            present = home.board.revision
            if not home.engine.status().quorum:
                raise NoQuorumError(f"this node is at revision {present}, cut off from a majority") from None
            raise OutOfRangeError(
                f"revision {min_revision} was not reached in time; this node is at {present}",
                reason="REVISION_NOT_REACHED",
            ) from None


def freshness_of(home: Home) -> board_pb2.Freshness:
    """Where an answer from `home` stands now."""
    status = home.engine.status()
    message = board_pb2.Freshness(revision=home.board.revision, leader=status.leader, quorum=status.quorum)
    message.as_of_time.FromMilliseconds(wall_ms())
    return message


def fresh_request_id() -> bytes:
    """For a write whose caller gave none: what makes the node's own retries safe."""
    return os.urandom(16)
