"""What xDS clients are told of a route: the table in force, without how it came about."""

from __future__ import annotations

from weftmesh.core.records import record


@record(frozen=True, slots=True)
class RouteRow:
    """One endpoint of a route.

    Attributes:
        endpoint: its name within the route.
        address: host:port or [ipv6]:port. The host is a number: xDS clients look no names up.
        weight: 0 to 1, its share of the requests; 0 leaves it out.
        zone: where it is; empty where the agreement does not say.
    """

    endpoint: str
    address: str
    weight: float
    zone: str = ""


@record(frozen=True, slots=True)
class RouteSnapshot:
    """A route's table in force. Two that are equal are the same to every client.

    Attributes:
        route: the service's name: `xds:///payments`.
        version: how often the table changed; for people and logs, clients compare contents.
        rows: its endpoints, each name once.
        max_ejection_percent: where the agreement lets clients leave failing endpoints out by themselves, how many of
            them at most, 0 to 100; None: they only follow the table.
        requests_max: of one client, at a time, above which it fails requests at once; None: as many as it likes.
    """

    route: str
    version: int
    rows: tuple[RouteRow, ...]
    max_ejection_percent: float | None = None
    requests_max: int | None = None
