"""Refuses to make certificates while this node's clock is one that most others would not believe."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from weftmesh.agent.features.census import Asks
from weftmesh.core.errors import PreconditionError
from weftmesh.core.trust.clocks import who_disagrees
from weftmesh.runtime.identity.authority import CLOCK_SKEW
from weftmesh.runtime.identity.certificates import utc_now
from weftmesh.runtime.identity.enrolling import Seed
from weftmesh.runtime.identity.in_force import CLOCK_DISAGREES, days

ASKED_MAX: Final = 8
"""Members; all of them at once, so that a joiner does not wait for one silent member after the other."""
REMEMBERED_S: Final = 5.0
"""That the clocks agree: when an authority is replaced, all members ask for certificates in the same second."""
JUMP_S: Final = 60.0
"""A clock that was set by so much is compared again."""


async def nobody_disagrees() -> None:
    """Where no other clock is known, this one is right."""


class PeerClocks:
    """Compares this node's clock with the members' when it is about to date a certificate by it.

    Args:
        node: this one, which is not asked.
        asks: the members for their status, which has their clock; how long an answer takes is nothing beside a day.
        members: of the mesh.
        clock: this node's.
    """

    def __init__(
        self, node: str, asks: Asks, members: Callable[[], Sequence[Seed]], clock: Callable[[], datetime] = utc_now
    ) -> None:
        self._node = node
        self._asks = asks
        self._members = members
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()
        self._agreed_s = float("-inf")
        """When all was well, by a clock that nobody sets."""
        self._set_by_s = 0.0
        """How far this clock was from that one then."""

    async def check(self) -> None:
        """Return if most members that answer agree with this node's clock, or none answers.

        Raises:
            PreconditionError: CLOCK_DISAGREES.
        """
        async with self._one_at_a_time:
            if self._agreed_lately():
                return
            ahead_s = await self._ahead_s()
            apart = who_disagrees(ahead_s, CLOCK_SKEW.total_seconds())
            if apart:
                told = ", ".join(_in_words(node, ahead_s[node]) for node in apart)
                raise PreconditionError(
                    f"no certificate is made here now: this node's clock is {told}, and there it would not be in "
                    "force. Correct the clock that is wrong, `weftmesh doctor` compares all of them, and try again",
                    reason=CLOCK_DISAGREES,
                )
            self._agreed_s = time.monotonic()
            self._set_by_s = self._clock().timestamp() - self._agreed_s

    def _agreed_lately(self) -> bool:
        """Whether the clocks agreed a moment ago, and this one was not set since."""
        now_s = time.monotonic()
        moved_s = self._clock().timestamp() - now_s - self._set_by_s
        return now_s - self._agreed_s < REMEMBERED_S and abs(moved_s) < JUMP_S

    async def _ahead_s(self) -> dict[str, float]:
        others = {one.name: one.address for one in self._members() if one.name != self._node}
        answers = await self._asks.ask(dict(sorted(others.items())[:ASKED_MAX]))
        now_s = self._clock().timestamp()
        return {
            answer.node: now_s - answer.status.current_time.ToNanoseconds() / 1e9
            for answer in answers
            if answer.status is not None and answer.status.HasField("current_time")
        }


def _in_words(node: str, ahead_s: float) -> str:
    return f"{days(timedelta(seconds=abs(ahead_s)))} {'ahead of' if ahead_s > 0 else 'behind'} {node}'s"
