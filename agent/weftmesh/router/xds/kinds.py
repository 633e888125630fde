"""The four kinds of resources that make a route, and the names that they have on the wire."""

from __future__ import annotations

from enum import Enum
from typing import Final

from weftmesh.core.records import record

TYPE_URL_PREFIX: Final = "type.googleapis.com/"


class Kind(Enum):
    """A kind of resource, by its type URL, in the order in which changes are told: make before break."""

    CLUSTER = TYPE_URL_PREFIX + "envoy.config.cluster.v3.Cluster"
    """CDS: how a service's endpoints are used."""
    ASSIGNMENT = TYPE_URL_PREFIX + "envoy.config.endpoint.v3.ClusterLoadAssignment"
    """EDS: which they are, and their weights."""
    LISTENER = TYPE_URL_PREFIX + "envoy.config.listener.v3.Listener"
    """LDS: what a gRPC client asks for first."""
    ROUTES = TYPE_URL_PREFIX + "envoy.config.route.v3.RouteConfiguration"
    """RDS: which cluster a request belongs to."""

    @property
    def is_whole(self) -> bool:
        """Whether a state-of-the-world response lists all there is, so that what is absent is gone.

        Only these kinds can be subscribed to without naming anything.
        """
        return self in (Kind.CLUSTER, Kind.LISTENER)


BY_TYPE_URL: Final = {kind.value: kind for kind in Kind}


@record(frozen=True, slots=True)
class Entry:
    """One resource.

    Attributes:
        name: of the resource; for all four kinds it is the route's.
        version: of the content: the same bytes have the same version, also after a restart.
        content: the message in bytes.
    """

    name: str
    version: str
    content: bytes
