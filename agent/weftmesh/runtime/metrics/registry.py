"""All that a process tells about itself: its collectors, asked together at each scrape."""

from __future__ import annotations

from typing import Final

import structlog

from weftmesh.runtime.metrics.model import Collector, Exposition, Kind, Metric

LEFT_OUT: Final = Metric(
    "weftmesh_metrics_left_out_series", Kind.GAUGE, "Series that this scrape leaves out, beyond the bound of a metric."
)
FAILURES: Final = Metric(
    "weftmesh_metrics_failures", Kind.COUNTER, "Times that a part of a scrape failed; its metrics were missing then."
)
REGISTRY_METRICS: Final = (LEFT_OUT, FAILURES)

log = structlog.get_logger("weftmesh.metrics")


class Registry:
    """The collectors of one process; scraped on its event loop."""

    def __init__(self) -> None:
        self._collectors: list[Collector] = []
        self._failures = 0

    def add(self, collector: Collector) -> None:
        """Ask `collector` as well from now on."""
        self._collectors.append(collector)

    def collect(self) -> Exposition:
        """Everything at this moment."""
        exposition = Exposition()
        for collector in self._collectors:
            try:
                collector(exposition)
            except Exception:  # whatever it is: what one part trips over must not hide what the others tell
                self._failures += 1
                log.exception("a part of the metrics is missing")
        exposition.add(FAILURES, self._failures)
        exposition.add(LEFT_OUT, exposition.left_out)
        return exposition
