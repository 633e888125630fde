"""What this node's own replica says of agreements, and how to wait for it to say more."""

from __future__ import annotations

from collections.abc import Sequence

from weftmesh.agent.board.homes import Home
from weftmesh.agent.learning.signal import Signal, until
from weftmesh.core.errors import OutOfRangeError, OverloadedError
from weftmesh.core.ola.replicated.machine import Agreements
from weftmesh.core.ola.replicated.outcomes import OlaEvent

WAITERS_MAX = 256
"""Calls that wait for the replica."""


class Replica:
    """The machine of agreements that the mesh's log drives."""

    def __init__(self, mesh: Home) -> None:
        self._mesh = mesh
        self._moved = Signal()
        mesh.machine.on_ola(self._hear)
        mesh.machine.on_restored(self._moved.fire)

    @property
    def agreements(self) -> Agreements:
        """The machine now; a snapshot may replace it."""
        return self._mesh.machine.agreements

    async def moved(self) -> None:
        """Return at the next change of the machine.

        Raises:
            OverloadedError: too many wait already.
        """
        if self._moved.waiters >= WAITERS_MAX:
            raise OverloadedError(f"{WAITERS_MAX} calls wait for this node's replica already; try again in a second")
        await self._moved.wait()

    async def reach(self, revision: int, timeout_s: float) -> None:
        """Return once the replica is at `revision`.

        Raises:
            OutOfRangeError: it did not get there in time.
            OverloadedError: too many wait already.
        """
        if self.agreements.revision >= revision:
            return
        if not await until(lambda: self.agreements.revision >= revision, self.moved, timeout_s):
            raise OutOfRangeError(
                f"revision {revision} of agreements was not reached in time; this node is at "
                f"{self.agreements.revision}",
                reason="REVISION_NOT_REACHED",
            )

    def _hear(self, events: Sequence[OlaEvent]) -> None:  # noqa: ARG002, that something changed is enough
        self._moved.fire()
