"""Tables for tests of xDS."""

from __future__ import annotations

from collections.abc import Mapping

from weftmesh.router.xds.catalog import EMPTY, Catalog, next_catalog
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
    found, refused = next_catalog(before, routes)
    assert not refused
    return found
