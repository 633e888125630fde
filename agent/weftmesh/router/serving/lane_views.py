"""What is shown of the lanes of this node's router."""

from __future__ import annotations

from weftmesh.ola.v1 import agreement_pb2
from weftmesh.routing.v1 import routing_pb2
from weftmesh.runtime.lanes.cooperative import Lanes
from weftmesh.runtime.lanes.critical.lane import LaneStatus


def lanes_view(lanes: Lanes, critical: LaneStatus | None) -> routing_pb2.Lanes:
    """As `GetLanes` answers.

    Args:
        lanes: on the router's loop.
        critical: the critical lane, where there is one.
    """
    message = routing_pb2.Lanes()
    for one in lanes.delays():
        message.lanes.add(
            service_class=agreement_pb2.ServiceClass.Name(one.service_class),
            waiting=one.waiting,
            started=one.turns,
            p50_us=int(one.wait_p50_us or 0.0),
            p99_us=int(one.wait_p99_us or 0.0),
            max_us=int(one.wait_max_us or 0.0),
            late=one.late,
        )
    for service, rate in lanes.raised().items():
        message.raised.add(service=service, rate=rate)
    if critical is not None and critical.pid is not None:
        message.critical.CopyFrom(_critical(critical))
    return message


def _critical(lane: LaneStatus) -> routing_pb2.CriticalLane:
    view = routing_pb2.CriticalLane(
        real_time=lane.real_time,
        why=lane.why,
        starts=lane.starts,
        restarts=lane.restarts,
        skipped=lane.skipped,
        dropped=lane.dropped,
    )
    if lane.late_p50_us is not None and lane.late_p99_us is not None and lane.late_max_us is not None:
        view.late_p50_us, view.late_p99_us = int(lane.late_p50_us), int(lane.late_p99_us)
        view.late_max_us = int(lane.late_max_us)
    return view
