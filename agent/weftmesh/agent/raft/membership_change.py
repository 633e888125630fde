"""One change of a member, proposed again while others change the members too or a new leader settles."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import MappingProxyType

from weftmesh.agent.raft.core.hardened import HardenedSyncObj
from weftmesh.agent.raft.core.membership import Configuration, to_membership
from weftmesh.agent.raft.core.pin import monotonic_s
from weftmesh.agent.raft.core.proposals import CATCHING_UP_REASONS
from weftmesh.agent.raft.engine import Applied, MemberRole
from weftmesh.core.errors import InvalidInputError, PreconditionError
from weftmesh.mesh.v1 import raft_pb2

TRIES = 8
"""Attempts while others change the members."""
CATCH_UP_PAUSE_S = 0.1
"""Between attempts to promote a node that joins; only its time limits them."""


def changed(now: Configuration, name: str, role: MemberRole | None, address: str | None) -> Configuration:
    """The next configuration on the way to what is wanted; a new voter comes in as an observer that is joining.

    Raises:
        InvalidInputError: a new member needs an address.
        PreconditionError: nobody would vote any more, or this node does not know who does.
    """
    if not now.voters:
        raise PreconditionError("this node is no member yet and knows none; ask a member", reason="NOT_A_MEMBER")
    known = now.members.get(name)
    at = address if address is not None else known
    if role is not None and at is None:
        raise InvalidInputError(f"{name} is no member yet, and nobody said where it can be reached")
    voters = {voter: there for voter, there in now.voters.items() if voter != name}
    observers = {observer: there for observer, there in now.observers.items() if observer != name}
    joining = now.joining - {name}
    if at is not None and role is MemberRole.VOTER and known is not None:
        voters[name] = at
    elif at is not None and role is not None:
        observers[name] = at
        joining |= {name} if role is MemberRole.VOTER else frozenset()
    if not voters:
        raise PreconditionError(
            f"{name} is the last voter, and without one nothing can be decided; promote or add another one first",
            reason="LAST_VOTER",
        )
    return Configuration(MappingProxyType(voters), MappingProxyType(observers), joining)


class MembershipChange:
    """Proposes until a member is as wanted.

    Args:
        core: knows the members now.
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
        self._tries = 0
        self._deadline_s = 0.0

    async def make(self, name: str, role: MemberRole | None, address: str | None, timeout_s: float) -> None:
        """See RaftEngine.change_member."""
        self._tries, self._deadline_s = 0, monotonic_s() + timeout_s
        while True:
            now = self._core.configuration
            wanted = changed(now, name, role, address)
            try:
                if wanted == now:
                    # only what is committed is certain, and the members may be others by then
                    await self._barrier(self._left_s())
                    if self._core.configuration == now:
                        return
                    self._count_try(name)
                else:
                    await self._commit(raft_pb2.LogPayload(membership=to_membership(*wanted)), self._left_s())
                    if role is not MemberRole.VOTER or name in wanted.voters:
                        return
            except PreconditionError as error:
                await self._pause(name, error, name in now.joining)

    def _left_s(self) -> float:
        return max(self._deadline_s - monotonic_s(), 0.0)

    def _count_try(self, name: str) -> None:
        self._tries += 1
        if self._tries >= TRIES:
            raise PreconditionError(
                f"the members keep changing while {name} is to be changed; try again", reason="MEMBERSHIP_BUSY"
            )

    async def _pause(self, name: str, error: PreconditionError, joins: bool) -> None:
        """Before another attempt, if one makes sense: a node that joins is waited for as long as there is time."""
        catching_up = error.reason in CATCHING_UP_REASONS
        if catching_up and joins and self._left_s() > CATCH_UP_PAUSE_S:
            await asyncio.sleep(CATCH_UP_PAUSE_S)
            return
        if catching_up or self._left_s() <= self._retry_s or self._tries >= TRIES - 1:
            raise error
        self._count_try(name)
        await asyncio.sleep(self._retry_s)
