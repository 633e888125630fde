"""What a router tells Prometheus and its kind about itself."""

from __future__ import annotations

from collections import Counter
from typing import Final

from weftmesh.core.routing.model import Condition
from weftmesh.router.following.contact import Contact
from weftmesh.router.routes.decision_log import DecisionLog
from weftmesh.router.routes.tables import Tables
from weftmesh.router.samples import Sample, Source
from weftmesh.runtime.doors.metrics import CALLS_REFUSED
from weftmesh.runtime.lanes.cooperative import Lanes
from weftmesh.runtime.metrics.beside import COMMON_METRICS
from weftmesh.runtime.metrics.histogram import Histogram
from weftmesh.runtime.metrics.model import Exposition, Kind, Metric

ROUTES: Final = Metric("weftmesh_router_routes", Kind.GAUGE, "Routes that this router has a table for.")
ENDPOINTS: Final = Metric(
    "weftmesh_router_endpoints",
    Kind.GAUGE,
    "Endpoints of a route, by what its table thinks of them.",
    labels=("route", "condition"),
)
STALE: Final = Metric(
    "weftmesh_router_stale_seconds",
    Kind.GAUGE,
    "How old what is known of agreements is; 0 while the node is heard.",
    "seconds",
)
DECISIONS: Final = Metric("weftmesh_router_decisions", Kind.COUNTER, "Decisions about tables.")
LEFT_OUT: Final = Metric(
    "weftmesh_router_decisions_left_out", Kind.COUNTER, "Decisions that the decision log does not have."
)
RESOLVE: Final = Metric(
    "weftmesh_router_resolve_duration_seconds", Kind.HISTOGRAM, "Choosing where a request goes.", "seconds"
)
PROBES: Final = Metric("weftmesh_router_probes", Kind.COUNTER, "Probes that counted.", labels=("kind", "result"))
REQUESTS: Final = Metric(
    "weftmesh_router_reported_requests", Kind.COUNTER, "Requests that somebody reported.", labels=("source", "result")
)
LATE: Final = Metric(
    "weftmesh_router_lane_late_turns", Kind.COUNTER, "Work that began after its deadline, by class.", labels=("class",)
)
ROUTER_METRICS: Final = (
    *COMMON_METRICS,
    *(ROUTES, ENDPOINTS, STALE, DECISIONS, LEFT_OUT, RESOLVE, PROBES, REQUESTS, LATE, CALLS_REFUSED),
)
"""All that a router exports."""
RESOLVE_BOUNDS_S: Final = (0.000005, 0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.005, 0.025, 0.1)
"""From the choice among ten endpoints to that among thousands."""


class RouterMeter:
    """What the router counts for its metrics; also a `samples.Samples`.

    Attributes:
        resolve_times: seconds that choices took.
    """

    def __init__(self) -> None:
        self.resolve_times = Histogram(RESOLVE_BOUNDS_S)
        self._probes: Counter[tuple[str, bool]] = Counter()
        self._requests: Counter[tuple[str, bool]] = Counter()

    def take(self, sample: Sample) -> None:
        """Count a sample."""
        if sample.source is Source.PROBE:
            self._probes[sample.probe.name if sample.probe is not None else "", sample.ok] += 1
        else:
            self._requests[sample.source, sample.ok] += sample.sent

    def __call__(self, out: Exposition) -> None:
        """See model.Collector."""
        out.add(RESOLVE, self.resolve_times)
        for metric, counts in ((PROBES, self._probes), (REQUESTS, self._requests)):
            for (kind, ok), count in counts.items():
                out.add(metric, count, kind.lower(), "well" if ok else "failed")


class RouterCollector:
    """Reads what the parts of a router know."""

    def __init__(self, tables: Tables, contact: Contact, decision_log: DecisionLog, lanes: Lanes) -> None:
        self._tables = tables
        self._contact = contact
        self._decision_log = decision_log
        self._lanes = lanes

    def __call__(self, out: Exposition) -> None:
        """See model.Collector."""
        names = self._tables.names()
        out.add(ROUTES, len(names))
        for name in names:
            conditions = Counter(row.condition for row in self._tables.rows(name))
            for condition in Condition:
                out.add(ENDPOINTS, conditions[condition], name, condition.value)
        out.add(STALE, self._contact.stale_ms() / 1000)
        out.add(DECISIONS, self._tables.decided)
        out.add(LEFT_OUT, self._decision_log.left_out)
        for one in self._lanes.delays():
            out.add(LATE, one.late, one.service_class.name.lower())
