"""Streams of tables: whoever watches sees the newest state of every route, and not each state between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from typing import Final

from weftmesh.core.errors import OverloadedError
from weftmesh.router.following.contact import Contact
from weftmesh.router.routes.tables import Tables
from weftmesh.router.serving.views import table_view
from weftmesh.routing.v1 import routing_pb2

WATCHERS_MAX: Final = 256


class Watching:
    """Tells watchers of changes.

    Args:
        tables: of this node.
        contact: how stale they are.
    """

    def __init__(self, tables: Tables, contact: Contact) -> None:
        self._tables = tables
        self._contact = contact
        self._watchers: set[_Watcher] = set()
        self._turn = asyncio.Lock()
        """One table is told with each round of the loop, however many watch: who resolves does not wait for them."""
        tables.on_change(self._changed)

    def _changed(self, route: str) -> None:
        for one in self._watchers:
            one.changed(route)

    async def watch(self, routes: Collection[str]) -> AsyncIterator[routing_pb2.RouteTable]:
        """The tables of `routes`, of all where that is empty: at once, then with each change.

        A route of `routes` that is not there is told as removed.

        Raises:
            OverloadedError: too many watch already.
        """
        if len(self._watchers) >= WATCHERS_MAX:
            raise OverloadedError(f"{WATCHERS_MAX} calls watch routes here already; end one of them")
        watcher = _Watcher(frozenset(routes))
        self._watchers.add(watcher)
        try:
            for name in routes or self._tables.names():
                watcher.changed(name)
            while True:
                route = await watcher.next()
                async with self._turn:
                    await asyncio.sleep(0)
                yield table_view(self._tables, self._contact, route, reasons=False)
        finally:
            self._watchers.discard(watcher)


class _Watcher:
    """What one caller has not seen yet."""

    def __init__(self, routes: frozenset[str]) -> None:
        self._routes = routes
        self._pending: dict[str, None] = {}
        self._some = asyncio.Event()

    def changed(self, route: str) -> None:
        """A route changed."""
        if not self._routes or route in self._routes:
            self._pending[route] = None
            self._some.set()

    async def next(self) -> str:
        """The route that waits for longest; waits for one."""
        while not self._pending:
            self._some.clear()
            await self._some.wait()
        route = next(iter(self._pending))
        del self._pending[route]
        return route
