"""This node's proposals that wait for their outcome.

A proposal is done when the node that made it applies the entry that carries its id. Nothing is matched by log
position or by a peer's reply, so no reply can be mistaken for another's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from weftmesh.agent.raft.engine import Applied
from weftmesh.core.errors import (
    NoQuorumError,
    OverloadedError,
    PreconditionError,
    UnknownOutcomeError,
    WeftmeshError,
)
from weftmesh.mesh.v1 import raft_pb2

ID_BITS = 62
"""Ids start at a random point of this size in every process run and count up."""


class Stage(Enum):
    """How far a proposal has come; only in the first one is it certain that no log has it."""

    QUEUED = "queued"
    FORWARDED = "forwarded"
    LOGGED = "logged"
    DONE = "done"


@dataclass(slots=True, eq=False)
class Waiter:
    """One proposal."""

    proposal_id: int
    payload: raft_pb2.LogPayload
    done: Callable[[Applied | WeftmeshError], None]
    stage: Stage = Stage.QUEUED
    index: int = 0
    """Where it is in this node's own log, if this node leads."""
    forwarded_to: str = ""
    not_before_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a leader takes a proposal into no log."""

    reason: str
    entries_behind: int = 0
    """With observer_behind: what the node to be promoted lacks."""


CATCHING_UP_REASONS = ("OBSERVER_BEHIND", "OBSERVER_SILENT")
"""Of a PreconditionError: the node may be promoted later."""


def unknown(why: str) -> UnknownOutcomeError:
    """The error for a proposal that may be in somebody's log."""
    return UnknownOutcomeError(f"the write may still be applied: {why}; retry with the same request id")


def no_quorum(why: str) -> NoQuorumError:
    """The error for a proposal that is in no log."""
    return NoQuorumError(f"nothing was changed: {why}; retry when a majority of the mesh can be reached")


class Proposals:
    """Every proposal from its submission to its outcome; reports each outcome exactly once."""

    def __init__(self, first_id: int, limit: int) -> None:
        self._next_id = first_id
        self._limit = limit
        self._waiters: dict[int, Waiter] = {}
        self._queue: deque[Waiter] = deque()

    def __len__(self) -> int:
        return len(self._waiters)

    @property
    def queued(self) -> bool:
        """Whether something waits to be handed to a leader."""
        return bool(self._queue)

    def submit(self, payload: raft_pb2.LogPayload, done: Callable[[Applied | WeftmeshError], None]) -> Waiter:
        """Queue a payload; `done` is called with its outcome.

        Raises:
            OverloadedError: too many wait already.
        """
        if len(self._waiters) >= self._limit:
            raise OverloadedError(f"{self._limit} proposals wait on this node already; try again a little later")
        self._next_id += 1
        payload.proposal_ids[:] = [self._next_id]
        waiter = Waiter(self._next_id, payload, done)
        self._waiters[waiter.proposal_id] = waiter
        self._queue.append(waiter)
        return waiter

    def next_try_s(self) -> float:
        """When the first queued proposal may be handed on."""
        return self._queue[0].not_before_s if self._queue else float("inf")

    def take(self, now_s: float, limit_bytes: int) -> list[Waiter]:
        """Queued proposals that are due, in order, together at most about `limit_bytes`; they leave the queue."""
        taken: list[Waiter] = []
        size_bytes = 0
        while self._queue and size_bytes < limit_bytes and self._queue[0].not_before_s <= now_s:
            waiter = self._queue.popleft()
            waiter.stage = Stage.FORWARDED
            taken.append(waiter)
            size_bytes += waiter.payload.ByteSize()
        return taken

    def put_back(self, waiters: Iterable[Waiter], not_before_s: float) -> None:
        """Proposals that entered no log go to the front again, in their order."""
        for waiter in sorted(waiters, key=lambda waiter: waiter.proposal_id, reverse=True):
            waiter.stage, waiter.forwarded_to, waiter.not_before_s = Stage.QUEUED, "", not_before_s
            self._queue.appendleft(waiter)

    def forwarded(self, waiters: Iterable[Waiter], leader: str) -> None:
        """They were sent to a leader: from now on they may be in its log."""
        for waiter in waiters:
            waiter.stage, waiter.forwarded_to = Stage.FORWARDED, leader

    def logged(self, waiter: Waiter, index: int) -> None:
        """This node leads and has it in its log."""
        waiter.stage, waiter.index = Stage.LOGGED, index

    def rejected(self, peer: str, proposal_ids: Iterable[int], refusal: Refusal, retry_s: float) -> None:
        """The node they were forwarded to says that they entered no log."""
        waiters = [self._waiters.get(proposal_id) for proposal_id in proposal_ids]
        known = [w for w in waiters if w is not None and w.stage is Stage.FORWARDED and w.forwarded_to == peer]
        if refusal.reason == "not_leader":
            self.put_back(known, retry_s)
            return
        for waiter in known:
            self.fail(waiter, rejection(refusal))

    def applied(self, proposal_ids: Iterable[int], index: int, result: Any) -> None:
        """An entry with these ids was applied here."""
        for proposal_id in proposal_ids:
            waiter = self._waiters.get(proposal_id)
            if waiter is not None:
                self._finish(waiter, result if isinstance(result, WeftmeshError) else Applied(index, result))

    def leader_lost(self) -> None:
        """The leader changed or its stream broke: what was forwarded may or may not be in a log."""
        self._fail_where(lambda w: w.stage is Stage.FORWARDED, "the connection to the leader was lost")

    def truncated(self, from_index: int) -> None:
        """Another leader's entries replaced this node's own; an older copy may still win elsewhere."""
        self._fail_where(lambda w: w.stage is Stage.LOGGED and w.index >= from_index, "another node leads now")

    def covered(self) -> None:
        """A snapshot replaced the log: what was handed over may be in it, and nobody will apply it here."""
        self._fail_where(lambda w: w.stage in (Stage.FORWARDED, Stage.LOGGED), "this node caught up by a snapshot")

    def give_up(self, waiter: Waiter, why: str) -> None:
        """Report the outcome that is certain now: unknown once it was handed over, not applied before."""
        self.fail(waiter, no_quorum(why) if waiter.stage is Stage.QUEUED else unknown(why))

    def give_up_all(self, why: str) -> None:
        """The engine ends."""
        for waiter in list(self._waiters.values()):
            self.give_up(waiter, why)

    def fail(self, waiter: Waiter, error: WeftmeshError) -> None:
        """Report an error, unless the outcome was reported already."""
        if waiter.stage is not Stage.DONE:
            self._finish(waiter, error)

    def _fail_where(self, condition: Callable[[Waiter], bool], why: str) -> None:
        for waiter in [waiter for waiter in self._waiters.values() if condition(waiter)]:
            self.fail(waiter, unknown(why))

    def _finish(self, waiter: Waiter, outcome: Applied | WeftmeshError) -> None:
        del self._waiters[waiter.proposal_id]
        if waiter.stage is Stage.QUEUED:
            self._queue.remove(waiter)
        waiter.stage = Stage.DONE
        waiter.done(outcome)


def rejection(refusal: Refusal) -> WeftmeshError:
    """What a leader's refusal means to the caller."""
    match refusal.reason:
        case "membership_busy":
            return PreconditionError(
                "another change of the members is under way, or a new leader has not settled yet; try again",
                reason="MEMBERSHIP_BUSY",
            )
        case "observer_behind":
            return PreconditionError(
                f"it has not caught up: it lacks {refusal.entries_behind:,} entries of the log; try again when it has",
                reason="OBSERVER_BEHIND",
            )
        case "observer_silent":
            return PreconditionError(
                "it does not answer the leader, so as a voter it would only weaken the majority; see that it runs and "
                "can be reached",
                reason="OBSERVER_SILENT",
            )
        case "voters_silent":
            return PreconditionError(
                "without this voter those that answer would be no majority, and nothing could be decided any more; "
                "start the others, or remove one that does not answer first",
                reason="VOTERS_SILENT",
            )
    return OverloadedError("the leader holds too many uncommitted writes; try again a little later")
