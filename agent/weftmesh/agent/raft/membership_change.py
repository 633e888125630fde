"""One change of the voters, proposed again while others change them too or a new leader settles."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from weftmesh.agent.raft.engine import Applied
from weftmesh.agent.raft.hardened import HardenedSyncObj
from weftmesh.agent.raft.membership import to_membership
from weftmesh.agent.raft.pin import monotonic_s
from weftmesh.core.errors import PreconditionError
from weftmesh.mesh.v1 import raft_pb2

TRIES = 8
"""Attempts of one change."""


class MembershipChange:
    """Proposes until the voters are as wanted.

    Args:
        core: knows who votes now.
        commit: proposes a payload and waits for its outcome, at most that many seconds.
        barrier: returns when this node knows everything that was acknowledged before the call.
        retry_s: the pause before another attempt.
    """

    def __init__(
        self,
        core: HardenedSyncObj,
        commit: Callable[[raft_pb2.LogPayload, float], Awaitable[Applied]],
        barrier: Callable[[float], Awaitable[int]],
        retry_s: float,
    ) -> None:
        self._core, self._commit, self._barrier, self._retry_s = core, commit, barrier, retry_s

    async def make(self, name: str, address: str | None, timeout_s: float) -> None:
        """See RaftEngine.change_voter."""
        deadline_s = monotonic_s() + timeout_s
        for attempt in range(TRIES):
            wanted = {voter: at for voter, at in self._core.voters.items() if voter != name}
            if address is not None:
                wanted[name] = address
            if not wanted:
                raise PreconditionError(f"{name} is the last voter and cannot be removed; add another one first")
            left_s = max(deadline_s - monotonic_s(), 0.0)
            if wanted == self._core.voters:
                await self._barrier(left_s)
                if self._core.voters.get(name) == address:
                    return
                continue
            try:
                await self._commit(raft_pb2.LogPayload(membership=to_membership(wanted)), left_s)
            except PreconditionError:
                if attempt == TRIES - 1 or monotonic_s() >= deadline_s:
                    raise
                await asyncio.sleep(self._retry_s)
            else:
                return
        raise PreconditionError(f"the voters keep changing while {name} is to be changed; try again")
