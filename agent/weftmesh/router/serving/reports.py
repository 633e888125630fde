"""Reports of clients and servers: each is checked, becomes a sample, and gives its ticket back."""

from __future__ import annotations

from typing import Final

from weftmesh.core.errors import InvalidInputError, NotFoundError
from weftmesh.core.routing.feedback import Load
from weftmesh.router.clock import Clock
from weftmesh.router.routes.tables import Tables, no_route
from weftmesh.router.samples import Sample, Samples, Source
from weftmesh.router.serving.orca import checked_load, load_from_report
from weftmesh.router.serving.tickets import Tickets
from weftmesh.routing.v1 import routing_pb2

AGO_MAX_US: Final = 60_000_000
"""What ended longer ago says nothing about now."""
LATENCY_MAX_US: Final = 3_600_000_000


class Reports:
    """Takes reports in.

    Args:
        tables: of this node.
        tickets: of requests that were resolved here.
        samples: told of every report that counts.
        clock: of the process.
    """

    def __init__(self, tables: Tables, tickets: Tickets, samples: Samples, clock: Clock) -> None:
        self._tables = tables
        self._tickets = tickets
        self._samples = samples
        self._clock = clock

    def take(self, report: routing_pb2.RequestReport) -> None:
        """Take one in.

        Raises:
            NotFoundError: there is no such route or endpoint.
            InvalidInputError: a number that cannot be.
        """
        live = self._tables.live(report.route)
        if live is None:
            raise no_route(report.route)
        if not live.knows(report.endpoint):
            raise NotFoundError(
                f"route {report.route} has no endpoint {report.endpoint[:80]!r}; report the name that Resolve gave",
                reason="NO_SUCH_ENDPOINT",
            )
        _check(report)
        held = self._tickets.redeem(report.ticket, report.route, report.endpoint) if report.ticket else False
        if report.abandoned:
            if held:
                live.abandoned(report.endpoint)
            return
        if not held:
            # Its end takes one from the endpoint's requests in flight, among which it was not.
            live.sent(report.endpoint)
        self._samples.take(self._sample(report))

    def _sample(self, report: routing_pb2.RequestReport) -> Sample:
        return Sample(
            report.route,
            report.endpoint,
            self._clock.monotonic_s() - report.ago_us / 1e6,
            self._clock.wall_ms() - report.ago_us // 1_000,
            Source.REPORT,
            report.ok,
            report.latency_us if report.HasField("latency_us") else None,
            report.server_us if report.HasField("server_us") else None,
            _load(report),
            answered=1 if report.ok or report.HasField("latency_us") else 0,
        )


def _check(report: routing_pb2.RequestReport) -> None:
    for field, most in (("ago_us", AGO_MAX_US), ("latency_us", LATENCY_MAX_US), ("server_us", LATENCY_MAX_US)):
        found = getattr(report, field)
        if not 0 <= found <= most:
            raise InvalidInputError(
                f"{field} of a report on {report.route}: {found} is not between 0 and {most}; send microseconds",
                metadata={"field": field},
            )


def _load(report: routing_pb2.RequestReport) -> Load | None:
    if report.HasField("load"):
        return checked_load(report.load.service_us, report.load.in_flight, report.load.capacity)
    return load_from_report(report.orca)
