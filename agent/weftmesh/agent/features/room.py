"""The feature level on one node, as a room."""

from __future__ import annotations

from collections.abc import Sequence

from weftmesh.agent.features.raising import Raising
from weftmesh.agent.rooms import Ground, Work
from weftmesh.agent.serving.services import Service


class FeaturesRoom:
    """Implements `rooms.Room`; serves nothing by itself."""

    def __init__(self, ground: Ground) -> None:
        self._raising = Raising(ground.identity.node, ground.homes, ground.features, ground.clock)

    @property
    def services(self) -> Sequence[Service]:
        """See Room."""
        return ()

    def work(self) -> Sequence[Work]:
        """See Room: the level is raised by itself."""
        return (self._raising.run(),)

    async def close(self) -> None:
        """See Room."""
