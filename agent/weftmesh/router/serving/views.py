"""Tables as messages for those who watch and ask."""

from __future__ import annotations

from weftmesh.core.routing.model import OverrideKind
from weftmesh.ola.v1 import agreement_pb2
from weftmesh.router.following.contact import Contact
from weftmesh.router.routes.tables import Tables
from weftmesh.routing.v1 import routing_pb2


def table_view(tables: Tables, contact: Contact, route: str, *, reasons: bool) -> routing_pb2.RouteTable:
    """The table of a route; one that says `removed` where there is none.

    Args:
        tables: of this node.
        contact: how stale they are.
        route: its name.
        reasons: whether rows say why.
    """
    live, inputs = tables.live(route), tables.inputs(route)
    if live is None or inputs is None:
        return routing_pb2.RouteTable(route=route, removed=True)
    wanted = tables.wanted(route)
    message = routing_pb2.RouteTable(
        route=route,
        version=tables.version(route),
        mode=inputs.mode.value,
        frozen=any(one.kind is OverrideKind.FREEZE for one in inputs.overrides),
        stale_ms=contact.stale_ms(),
        agreements=wanted.agreements,
        service_class=agreement_pb2.ServiceClass.Name(wanted.service_class),
    )
    proposed = {row.endpoint: row.weight for row in tables.proposed(route)}
    for endpoint, row in zip(inputs.endpoints, tables.rows(route), strict=True):
        added = message.rows.add(
            endpoint=row.endpoint,
            address=endpoint.address,
            zone=endpoint.zone,
            capacity=endpoint.capacity,
            weight=row.weight,
            admission=row.admission,
            proposed=proposed.get(row.endpoint, row.weight),
            condition=row.condition.value,
        )
        if reasons:
            added.reason, added.detail = row.reason.value, row.detail
    return message
