"""The load reporting service: what clients sum up of their requests, as samples for the router.

Reports have successes, errors and requests in progress for each locality, which is one endpoint here. They have no
latencies.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Final

import grpc
from google.protobuf.duration_pb2 import Duration

from weftmesh.router.samples import Sample, Samples, Source
from weftmesh.router.serving.call_limits import Paces
from weftmesh.router.xds.admission import Admission
from weftmesh.router.xds.catalog import Catalog
from weftmesh.router.xds.resources import REGION
from weftmesh.runtime.clock import wall_ms
from weftmesh.runtime.lanes.slicing import unhurried
from weftmesh.runtime.rpc import waits
from weftmesh.runtime.rpc_gate import Context
from weftmesh.xds.v3 import loads_pb2

SERVICE: Final = "envoy.service.load_stats.v3.LoadReportingService"
REPORT_INTERVAL_S: Final = 1
REQUESTS_MAX: Final = 100_000_000
"""One report counts no more requests of an endpoint than these; more is a mistake of the client's."""

EndpointId = tuple[str, str]
"""Route and endpoint."""


class Loads:
    """Takes reports in. Belongs to one event loop.

    Args:
        admission: who may report.
        paces: bounds how fast clients report.
        catalog: the routes of now; what is reported of others is dropped.
        samples: takes one sample for the successes and one for the errors of an endpoint, where there are any.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        admission: Admission,
        paces: Paces,
        catalog: Callable[[], Catalog],
        samples: Samples,
        clock: Callable[[], float],
    ) -> None:
        self._admission = admission
        self._paces = paces
        self._catalog = catalog
        self._samples = samples
        self._clock = clock
        self._in_progress: dict[object, dict[EndpointId, int]] = {}

    def in_progress(self) -> Counter[EndpointId]:
        """Requests that all reporting clients together had under way when each of them last reported."""
        total: Counter[EndpointId] = Counter()
        for one in self._in_progress.values():
            total.update(one)
        return total

    def handler(self) -> grpc.GenericRpcHandler:
        """What a gRPC server registers."""
        method = grpc.stream_stream_rpc_method_handler(
            self._reports,
            loads_pb2.LoadStatsRequest.FromString,
            loads_pb2.LoadStatsResponse.SerializeToString,
        )
        return grpc.method_handlers_generic_handler(SERVICE, {"StreamLoadStats": method})

    @waits
    async def _reports(
        self, requests: AsyncIterator[loads_pb2.LoadStatsRequest], context: Context
    ) -> AsyncIterator[loads_pb2.LoadStatsResponse]:
        self._admission.subject(context)
        stream = object()
        asked = False
        try:
            async for request in self._paces.paced(requests, context):
                if not asked:
                    asked = True
                    yield loads_pb2.LoadStatsResponse(
                        send_all_clusters=True, load_reporting_interval=Duration(seconds=REPORT_INTERVAL_S)
                    )
                self._in_progress[stream] = await self._take(request.cluster_stats)
        finally:
            self._in_progress.pop(stream, None)

    async def _take(self, clusters: Iterable[loads_pb2.ClusterStats]) -> dict[EndpointId, int]:
        in_progress = {}
        now_s, now_ms = self._clock(), wall_ms()
        async for known in unhurried(self._known(clusters)):
            if known is None:
                continue
            route, endpoint, stats = known
            in_progress[route, endpoint] = min(stats.total_requests_in_progress, REQUESTS_MAX)
            for ok, count in ((True, stats.total_successful_requests), (False, stats.total_error_requests)):
                if count:
                    sent = min(count, REQUESTS_MAX)
                    answered = sent if ok else 0
                    self._samples.take(
                        Sample(route, endpoint, now_s, now_ms, Source.LRS, ok, None, sent=sent, answered=answered)
                    )
        return in_progress

    def _known(
        self, clusters: Iterable[loads_pb2.ClusterStats]
    ) -> Iterator[tuple[str, str, loads_pb2.UpstreamLocalityStats] | None]:
        """What is about endpoints of this node's routes, also of those without weight: requests end after a drain.

        None for what is of others, so that those who send much of that get no longer turns.
        """
        routes = self._catalog().routes
        for cluster in clusters:
            if (route := routes.get(cluster.cluster_name)) is None:
                yield None
                continue
            endpoints = {row.endpoint for row in route.rows}
            for stats in cluster.upstream_locality_stats:
                known = stats.locality.region == REGION and stats.locality.sub_zone in endpoints
                yield (route.route, stats.locality.sub_zone, stats) if known else None
