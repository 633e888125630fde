"""What a node's doors turned away, and what the mesh as a whole can take in."""

from __future__ import annotations

from typing import Final

from weftmesh.agent.board.homes import Home
from weftmesh.agent.serving.refusals import Refusals
from weftmesh.core.features.levels import SUPPORTED_LEVEL
from weftmesh.runtime.metrics.model import Exposition, Kind, Metric

CALLS_REFUSED: Final = Metric(
    "weftmesh_calls_refused",
    Kind.COUNTER,
    "Calls and connections that the limits of callers turned away.",
    labels=("reason",),
)
FEATURE_LEVEL: Final = Metric("weftmesh_feature_level", Kind.GAUGE, "The mesh's feature level, as this node knows it.")
SUPPORTED: Final = Metric("weftmesh_feature_level_supported", Kind.GAUGE, "The highest level that this build takes in.")
DOOR_METRICS: Final = (CALLS_REFUSED, FEATURE_LEVEL, SUPPORTED)


class DoorCollector:
    """Reads them."""

    def __init__(self, refusals: Refusals, mesh: Home) -> None:
        self._refusals = refusals
        self._mesh = mesh

    def __call__(self, out: Exposition) -> None:
        """See model.Collector."""
        for reason, count in self._refusals.by_reason.items():
            out.add(CALLS_REFUSED, count, reason.lower())
        out.add(FEATURE_LEVEL, self._mesh.machine.feature_level)
        out.add(SUPPORTED, SUPPORTED_LEVEL)
