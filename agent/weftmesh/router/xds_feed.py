"""Hands tables on to the xDS server: what changed, all at once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Protocol

from weftmesh.router.routes.tables import Tables
from weftmesh.router.xds.snapshot import RouteRow, RouteSnapshot


class XdsSink(Protocol):
    """What tables are handed to; `XdsServer` is one."""

    def set_routes(self, routes: Mapping[str, RouteSnapshot]) -> None:
        """See XdsServer."""


class XdsFeed:
    """Follows the tables from now on.

    Args:
        tables: of this node.
        server: told of all routes after each change.
    """

    def __init__(self, tables: Tables, server: XdsSink) -> None:
        self._tables = tables
        self._server = server
        self._snapshots: dict[str, RouteSnapshot] = {}
        self._changed: set[str] = set(tables.names())
        self._loop = asyncio.get_running_loop()
        tables.on_change(self._change)
        self._tell()

    def _change(self, route: str) -> None:
        if not self._changed:
            # Orders and agreements change several routes in one go.
            self._loop.call_soon(self._tell)
        self._changed.add(route)

    def _tell(self) -> None:
        changed, self._changed = self._changed, set()
        for route in changed:
            self._snapshots.pop(route, None)
            inputs = self._tables.inputs(route)
            if inputs is not None:
                rows = tuple(
                    RouteRow(one.name, one.address, row.weight, one.zone)
                    for one, row in zip(inputs.endpoints, self._tables.rows(route), strict=True)
                )
                # Where this node may eject, clients may: they notice sooner than their reports tell it.
                percent = inputs.settings.max_ejection_percent if inputs.takes_effect else None
                self._snapshots[route] = RouteSnapshot(route, self._tables.version(route), rows, percent)
        self._server.set_routes(dict(self._snapshots))
