"""What a process's doors turned away, for Prometheus and its kind."""

from __future__ import annotations

from typing import Final

from weftmesh.runtime.doors.refusals import Refusals
from weftmesh.runtime.metrics.model import Exposition, Kind, Metric

CALLS_REFUSED: Final = Metric(
    "weftmesh_calls_refused",
    Kind.COUNTER,
    "Calls and connections that the limits of callers turned away.",
    labels=("reason",),
)


class RefusalCollector:
    """Reads the counts."""

    def __init__(self, refusals: Refusals) -> None:
        self._refusals = refusals

    def __call__(self, out: Exposition) -> None:
        """See model.Collector."""
        for reason, count in self._refusals.by_reason.items():
            out.add(CALLS_REFUSED, count, reason.lower())
