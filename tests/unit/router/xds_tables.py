"""Tables for tests of xDS."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from weftmesh.router.xds.catalog import EMPTY, Catalog, Refused, next_catalog
from weftmesh.router.xds.snapshot import RouteRow, RouteSnapshot


def route(name: str, weights: Mapping[str, float], version: int = 1, zone: str = "z") -> RouteSnapshot:
    """A route whose endpoints have these weights."""
    rows = tuple(
        RouteRow(endpoint, f"10.0.0.{number}:80", weight, zone)
        for number, (endpoint, weight) in enumerate(weights.items(), 1)
    )
    return RouteSnapshot(name, version, rows)


def catalog(*routes: RouteSnapshot, before: Catalog = EMPTY) -> Catalog:
    """The catalog of these routes."""
    found, refused = made(before, routes)
    assert not refused
    return found


def made(before: Catalog, routes: Iterable[RouteSnapshot]) -> tuple[Catalog, tuple[Refused, ...]]:
    """All steps of `next_catalog`."""
    steps = next_catalog(before, routes)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found: tuple[Catalog, tuple[Refused, ...]] = end.value
            return found
