"""Hands tables on to the xDS server: what changed, all at once, and made in short steps."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Iterator, Mapping
from typing import Protocol

from weftmesh.core.routing.model import Inputs
from weftmesh.router.numbers import Finder, Numbers
from weftmesh.router.routes.tables import Tables
from weftmesh.router.xds.snapshot import RouteRow, RouteSnapshot
from weftmesh.runtime.lanes.slicing import returned


class XdsSink(Protocol):
    """What tables are handed to; `XdsServer` is one."""

    async def set_routes(self, routes: Mapping[str, RouteSnapshot]) -> None:
        """See XdsServer."""


class XdsFeed:
    """Follows the tables and names of endpoints while it runs.

    Args:
        tables: of this node.
        server: told of all routes after each change.
        names: looks names up.
    """

    def __init__(self, tables: Tables, server: XdsSink, names: Finder) -> None:
        self._tables = tables
        self._server = server
        self._numbers = Numbers(names, self._change_all)
        self._snapshots: dict[str, RouteSnapshot] = {}
        self._addresses: dict[str, tuple[str, ...]] = {}
        self._changed: set[str] = set(tables.names())
        self._held: set[str] = set()
        """Routes whose names are being looked up for the first time: what clients were told of them holds."""
        self._spoke = False
        self._some = asyncio.Event()
        self._some.set()
        tables.on_change(self._change)

    async def run(self) -> None:
        """Go on until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._numbers.run())
            while True:
                await self._some.wait()
                self._some.clear()
                await self._tell()

    def _change(self, route: str) -> None:
        self._changed.add(route)
        self._some.set()

    def _change_all(self) -> None:
        for route in self._addresses:
            self._change(route)

    async def _tell(self) -> None:
        await returned(self._take())
        if self._held and not self._spoke:
            return  # a route that is not mentioned is one that is gone
        self._spoke = True
        await self._server.set_routes(dict(self._snapshots))

    def _take(self) -> Generator[None, None, None]:
        changed, self._changed = self._changed, set()
        inputs_of = {route: self._tables.inputs(route) for route in changed}
        self._follow_names(inputs_of)
        for route in changed:
            yield
            # Once more, as the table may have changed since.
            inputs = self._tables.inputs(route)
            self._held.discard(route)
            if inputs is not None and not all(self._numbers.is_settled(one.address) for one in inputs.endpoints):
                self._held.add(route)
                continue
            self._snapshots.pop(route, None)
            rows = () if inputs is None else tuple(self._rows(inputs))
            if inputs is not None and rows:
                # Where this node may eject, clients may: they notice sooner than their reports tell it.
                percent = inputs.settings.max_ejection_percent if inputs.takes_effect else None
                self._snapshots[route] = RouteSnapshot(route, self._tables.version(route), rows, percent)

    def _rows(self, inputs: Inputs) -> Iterator[RouteRow]:
        """The rows of endpoints whose addresses are known."""
        for one, row in zip(inputs.endpoints, self._tables.rows(inputs.route), strict=True):
            number = self._numbers.of(one.address)
            if number is not None:
                yield RouteRow(one.name, number, row.weight, one.zone)

    def _follow_names(self, inputs_of: Mapping[str, Inputs | None]) -> None:
        before = dict(self._addresses)
        for route, inputs in inputs_of.items():
            self._addresses.pop(route, None)
            if inputs is not None:
                self._addresses[route] = tuple(one.address for one in inputs.endpoints)
        if self._addresses != before:
            self._numbers.follow(address for of_route in self._addresses.values() for address in of_route)
