"""A replicated log of one process: applies at once, and misbehaves as it is told."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from weftmesh.agent.raft.engine import Applied, MemberRole, PeerStatus, RaftStatus, Role, StateMachine
from weftmesh.core.errors import UnknownOutcomeError, WeftmeshError
from weftmesh.core.features.levels import FIRST_LEVEL
from weftmesh.runtime.clock import wall_us


class InMemoryEngine:
    """Implements `RaftEngine` over a state machine.

    Attributes:
        proposals: every command proposed, also those that failed.
        fail_before: errors for the next proposals, which are not applied; None lets one through.
        fail_after: errors for the next proposals that get through: applied, and yet unanswered.
        gate: proposals wait for it before they are applied.
        delay_s: how long a proposal takes.
        role, term, leader, quorum: what `status` says; `tell` tells the listeners.
        connected: the members that `status` calls connected.
    """

    def __init__(self, machine: StateMachine, node: str = "n1") -> None:
        self._machine = machine
        self._node = node
        self._index = 0
        self.role = Role.LEADER
        self.term = 1
        self.leader = node
        self.connected: set[str] = set()
        self._voters = {node: "127.0.0.1:1"}
        self._observers: dict[str, str] = {}
        self._listeners: list[Callable[[RaftStatus], None]] = []
        self.proposals: list[bytes] = []
        self.fail_before: deque[WeftmeshError | None] = deque()
        self.fail_after: deque[WeftmeshError | None] = deque()
        self.gate = asyncio.Event()
        self.gate.set()
        self.delay_s = 0.0
        self.under_way = 0
        self.quorum = True

    async def start(self) -> None:
        """Nothing to recover."""

    async def stop(self) -> None:
        """Nothing to close."""

    async def propose(self, command: bytes, timeout_s: float, *, level: int = FIRST_LEVEL) -> Applied:
        self.proposals.append(command)
        self.under_way += 1
        try:
            async with asyncio.timeout(timeout_s):
                await self.gate.wait()
                await asyncio.sleep(self.delay_s)
            _raise_next(self.fail_before)
            self._index += 1
            result = self._machine.apply(self._index, command, wall_us(), level=level)
            _raise_next(self.fail_after)
            return Applied(self._index, result)
        except TimeoutError:
            raise UnknownOutcomeError("not confirmed in time") from None
        finally:
            self.under_way -= 1

    async def read_barrier(self, timeout_s: float) -> int:
        return self._index

    async def change_member(self, name: str, role: MemberRole | None, address: str | None, timeout_s: float) -> None:
        at = address or self._voters.pop(name, None) or self._observers.pop(name, None)
        self._voters.pop(name, None)
        self._observers.pop(name, None)
        if role is not None and at is not None:
            (self._voters if role is MemberRole.VOTER else self._observers)[name] = at
        self.tell()

    def move(self, name: str, address: str) -> None:
        """Let a voter be at another address."""
        self._voters[name] = address
        self.tell()

    def tell(self) -> None:
        """Tell the listeners of the present status."""
        for listener in self._listeners:
            listener(self.status())

    async def transfer_leadership(self, timeout_s: float) -> bool:
        return False

    async def recover_quorum(self, timeout_s: float) -> None:
        self._voters = {self._node: self._voters[self._node]}
        self.quorum = True

    def status(self) -> RaftStatus:
        return RaftStatus(
            node=self._node,
            role=self.role,
            term=self.term,
            leader=self.leader,
            quorum=self.quorum,
            commit_index=self._index,
            applied_index=self._index,
            first_index=1,
            last_index=self._index,
            snapshot_index=0,
            pending=self.under_way,
            voters=dict(self._voters),
            observers=dict(self._observers),
            peers=tuple(
                PeerStatus(name, address, name in self.connected, 0)
                for name, address in {**self._voters, **self._observers}.items()
                if name != self._node
            ),
        )

    def on_change(self, callback: Callable[[RaftStatus], None]) -> None:
        self._listeners.append(callback)


def _raise_next(errors: deque[WeftmeshError | None]) -> None:
    error = errors.popleft() if errors else None
    if error is not None:
        raise error
