"""The check before a command that earlier builds do not know."""

from __future__ import annotations

from weftmesh.agent.board.homes import Home
from weftmesh.agent.features.census import Asks, in_words
from weftmesh.core.errors import PreconditionError
from weftmesh.core.features.levels import FIRST_LEVEL, SUPPORTED_LEVEL, Feature


class Features:
    """What the mesh can take in now, as this node has applied the log.

    Args:
        mesh: the replicated log.
        census: asks members what they support.
        supported: what this build can take in.
    """

    def __init__(self, mesh: Home, census: Asks, supported: int = SUPPORTED_LEVEL) -> None:
        self.supported = supported
        self.census = census
        self._mesh = mesh

    @property
    def level(self) -> int:
        """The mesh's level: every member can take in what it brings."""
        return self._mesh.machine.feature_level

    def ready(self, feature: Feature) -> bool:
        """Whether its commands may enter the log."""
        return self.level >= feature.level

    async def require(self, feature: Feature) -> None:
        """Return at once if its commands may enter the log; otherwise ask the members, to say who lags.

        Raises:
            PreconditionError: FEATURE_NOT_READY. `metadata` has `feature`, `level`, `needed` and `lagging`, the names
                of members that run an earlier build or do not answer, with commas.
        """
        if self.ready(feature):
            return
        status = self._mesh.engine.status()
        answers = await self.census.ask({**status.observers, **status.voters})
        lagging = [support for support in answers if support.level < feature.level]
        names = ", ".join(support.node for support in lagging)
        if lagging:
            todo = f"{in_words(lagging)}. Upgrade or remove {names}; `weftmesh upgrade check` tells the order"
        else:
            todo = "all members support it, and whoever leads raises the level within seconds; try again then"
        raise PreconditionError(
            f"{feature.title} needs feature level {feature.level}, and the mesh has {self.level}: {todo}",
            reason="FEATURE_NOT_READY",
            metadata={
                "feature": feature.name,
                "level": str(self.level),
                "needed": str(feature.level),
                "lagging": ",".join(support.node for support in lagging),
            },
        )

    def check_joiner(self, node: str, told: int) -> None:
        """Refuse a node that could not take in what the log holds.

        Args:
            node: its name.
            told: the level that it supports; 0 when it tells nothing.

        Raises:
            PreconditionError: UPGRADE_NEEDED.
        """
        supported = told or FIRST_LEVEL
        if supported < self.level:
            raise PreconditionError(
                f"{node} runs a build of feature level {supported}, and this mesh has level {self.level}: install the "
                f"version on {node} that the members run, and join again",
                reason="UPGRADE_NEEDED",
                metadata={"level": str(self.level), "supported": str(supported)},
            )
