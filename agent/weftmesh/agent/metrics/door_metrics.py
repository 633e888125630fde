"""What a node's doors turned away, and what the mesh as a whole can take in."""

from __future__ import annotations

from typing import Final

from weftmesh.agent.board.homes import Home
from weftmesh.core.features.levels import SUPPORTED_LEVEL
from weftmesh.runtime.doors.metrics import CALLS_REFUSED, RefusalCollector
from weftmesh.runtime.doors.refusals import Refusals
from weftmesh.runtime.metrics.model import Exposition, Kind, Metric

FEATURE_LEVEL: Final = Metric("weftmesh_feature_level", Kind.GAUGE, "The mesh's feature level, as this node knows it.")
SUPPORTED: Final = Metric("weftmesh_feature_level_supported", Kind.GAUGE, "The highest level that this build takes in.")
DOOR_METRICS: Final = (CALLS_REFUSED, FEATURE_LEVEL, SUPPORTED)


class DoorCollector:
    """Reads them."""

    def __init__(self, refusals: Refusals, mesh: Home) -> None:
        self._refused = RefusalCollector(refusals)
        self._mesh = mesh

    def __call__(self, out: Exposition) -> None:
        """See model.Collector."""
        self._refused(out)
        out.add(FEATURE_LEVEL, self._mesh.machine.feature_level)
        out.add(SUPPORTED, SUPPORTED_LEVEL)
