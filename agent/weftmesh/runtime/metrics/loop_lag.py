"""How late an event loop comes to what is due: what everybody who waits for this process feels."""

from __future__ import annotations

import asyncio
from typing import Final

from weftmesh.runtime.metrics.histogram import Histogram
from weftmesh.runtime.metrics.model import Exposition, Kind, Metric

PERIOD_S: Final = 1.0
LOOP_LAG: Final = Metric(
    "weftmesh_event_loop_lag_seconds",
    Kind.HISTOGRAM,
    "How much later than asked for a timer of one second rang.",
    "seconds",
)


class LoopLag:
    """Sets a timer again and again, and notes how late it rings."""

    def __init__(self) -> None:
        self._lateness = Histogram()

    async def run(self) -> None:
        """Go on until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due_s = loop.time() + PERIOD_S
            await asyncio.sleep(PERIOD_S)
            self._lateness.observe(max(0.0, loop.time() - due_s))

    def __call__(self, out: Exposition) -> None:
        """See model.Collector."""
        out.add(LOOP_LAG, self._lateness)
