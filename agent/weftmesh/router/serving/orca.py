"""What endpoints say of themselves in ORCA load reports, under names of ours; they travel as gRPC A51 says."""

from __future__ import annotations

from typing import Final

from google.protobuf.message import DecodeError

from weftmesh.core.routing.feedback import Load
from weftmesh.routing.v1 import routing_pb2

TRAILER: Final = "endpoint-load-metrics-bin"
"""Trailing metadata in which an answer carries a report."""
SERVICE_US: Final = "weftmesh.service_us"
IN_FLIGHT: Final = "weftmesh.in_flight"
CAPACITY: Final = "weftmesh.capacity"
REPORT_BYTES_MAX: Final = 4_096


def load_from_report(report: bytes) -> Load | None:
    """The load in a serialized OrcaLoadReport; None where it does not say all of it, or makes no sense."""
    if not report or len(report) > REPORT_BYTES_MAX:
        return None
    try:
        metrics = routing_pb2.OrcaLoad.FromString(report).named_metrics
    except DecodeError:
        return None
    if not all(name in metrics for name in (SERVICE_US, IN_FLIGHT, CAPACITY)):
        return None
    return checked_load(metrics[SERVICE_US], metrics[IN_FLIGHT], metrics[CAPACITY])


def checked_load(service_us: float, in_flight: float, capacity: float) -> Load | None:
    """The load; None where a number makes no sense."""
    load = Load(service_us / 1e6, in_flight, capacity)
    return load if load.can_be else None
