"""Tells the coordinator whether this node leads, and of each change."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from weftmesh.agent.learning.replica import Replica, duty_of
from weftmesh.core.errors import OverloadedError
from weftmesh.learning.v1 import learning_pb2

WATCHERS_MAX: Final = 16
"""Of one node's duty: one coordinator, and people who look on."""


class DutyWatch:
    """Streams this node's duty."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._watchers = 0

    async def follow(self) -> AsyncIterator[learning_pb2.Duty]:
        """The duty now, and again with each change of it.

        Raises:
            OverloadedError: too many watch already.
        """
        if self._watchers >= WATCHERS_MAX:
            raise OverloadedError(f"{WATCHERS_MAX} processes watch this node's duty already; end one of them")
        self._watchers += 1
        told: learning_pb2.Duty | None = None
        try:
            while True:
                duty = duty_of(self._replica.status)
                if duty != told:
                    told = duty
                    yield duty  # the caller may be slow: what changed meanwhile is seen at the next turn
                else:
                    await self._replica.moved()
        finally:
            self._watchers -= 1
