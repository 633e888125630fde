"""`weftmesh lanes`: how long the work of each class waits for its turn in this node's router."""

from __future__ import annotations

from typing import TYPE_CHECKING

from weftmesh.cli.encoding import enum_word, to_json
from weftmesh.cli.options import command
from weftmesh.cli.session import Session
from weftmesh.cli.tables import Column

if TYPE_CHECKING:
    from weftmesh.routing.v1 import routing_pb2


@command(None, "lanes")
async def lanes(session: Session) -> None:
    """Show how long the jobs of each class waited for their turns in the last five minutes; milliseconds.

    A job is a probe or a decision about a route, in the class of its service. LATE counts turns that came after the
    job's deadline, since the router began.
    """
    from weftmesh.client.routing import connect_router, router_target
    from weftmesh.ola.v1 import agreement_pb2

    async with connect_router(router_target(session.target())) as router:
        found = await router.get_lanes(timeout_s=session.timeout_s)
    if session.output.as_json:
        session.output.json(to_json(found))
        return
    titles = ("WAITING", "TURNS", "p50", "p99", "MAX ms", "LATE")
    columns = [Column("CLASS"), *(Column(title, right=True) for title in titles)]
    rows = [
        [
            enum_word(agreement_pb2.ServiceClass.DESCRIPTOR, one.service_class),
            str(one.waiting),
            str(one.started),
            *(f"{delay_us / 1e3:.2f}" for delay_us in (one.p50_us, one.p99_us, one.max_us)),
            str(one.late),
        ]
        for one in found.lanes
    ]
    session.output.table(columns, rows)
    for raised in found.raised:
        session.output.data(
            f"{raised.service} spends its error budget {raised.rate:.3g} times as fast as it may: one class up"
        )
    if found.HasField("critical"):
        session.output.data(_critical(found.critical))


def _critical(lane: routing_pb2.CriticalLane) -> str:
    how = "under SCHED_RR" if lane.real_time else f"without SCHED_RR ({lane.why})"
    if not lane.HasField("late_p50_us"):
        return f"critical lane: a process of its own {how}; it has nothing to do"
    late = " ".join(f"{us / 1e3:.2f}" for us in (lane.late_p50_us, lane.late_p99_us, lane.late_max_us))
    more = f", {lane.skipped} left out, {lane.dropped} not read, {lane.restarts} restarts"
    return f"critical lane: a process of its own {how}; {lane.starts} starts, late p50 p99 max {late} ms{more}"
