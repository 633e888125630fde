"""Keeps agreements and tables on disk as they change, and begins with them."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Final

import structlog

from weftmesh.core.routing.steps import Steps
from weftmesh.router.following.agreements import Agreements
from weftmesh.router.following.contact import Contact
from weftmesh.router.following.wanted import wanted_routes
from weftmesh.router.routes.last_table import LastTable
from weftmesh.router.routes.tables import Tables
from weftmesh.routing.v1 import kept_pb2
from weftmesh.runtime.lanes.slicing import returned

TICK_S: Final = 0.5
"""A router that is killed loses so much, and what it writes meanwhile."""
HEARD_S: Final = 30.0
"""How exact a new process is about when the node was last heard of."""
_log = structlog.get_logger("weftmesh.router")


class Keeping:
    """Writes what changed, twice a second at most.

    Args:
        file: where.
        agreements: in force.
        tables: of this node.
        contact: when the node was heard of.
    """

    def __init__(self, file: LastTable, agreements: Agreements, tables: Tables, contact: Contact) -> None:
        self._file = file
        self._agreements = agreements
        self._tables = tables
        self._contact = contact
        self._kept: dict[str, bytes] = {}
        """Of each route, a piece of what is written: most tables are as they were."""
        self._changed: set[str] = set()
        self._fails = False
        self._written = (0, 0.0)
        """Revision, and when the node was heard of in seconds, as they are on disk."""
        tables.on_change(self._changed.add)

    def restore(self) -> int:
        """Begin with what is kept; the revision of its agreements, 0 for none."""
        found = self._file.read()
        if found is None:
            return 0
        self._agreements.restore(found.revision, found.agreements, found.controls)
        self._contact.restore(found.heard_ms)
        routes = wanted_routes(self._agreements.in_force, self._agreements.overrides)
        self._tables.restore(found.tables, routes)
        _log.info("routing begins by what was kept", routes=len(routes), stale_s=self._contact.stale_ms() // 1_000)
        return found.revision

    async def run(self) -> None:
        """Go on until cancelled."""
        while True:
            await asyncio.sleep(TICK_S)
            await self.write()

    async def write(self) -> None:
        """Write what changed since the last time."""
        heard_s = self._contact.heard_ms / 1e3
        written, heard_before_s = self._written
        if not self._changed and written == self._agreements.revision and heard_s - heard_before_s < HEARD_S:
            return
        revision, changed = self._agreements.revision, set(self._changed)
        self._changed.clear()
        try:
            await returned(self._take(changed))
            head = kept_pb2.KeptState(revision=revision, heard_ms=self._contact.heard_ms).SerializeToString()
            await asyncio.to_thread(self._file.write, [head, *self._agreements.kept(), *self._kept.values()])
        except OSError as error:
            self._changed |= changed
            if not self._fails:
                _log.error(
                    "tables cannot be kept: after a restart older ones are in force",
                    why=str(error),
                    what_to_do="look at the disk under the router's state directory; it is tried again until it works",
                )
            self._fails = True
            return
        except asyncio.CancelledError:
            self._changed |= changed  # for the last write, when the router ends
            raise
        self._written = (revision, heard_s)
        if self._fails:
            _log.info("tables are kept again")
        self._fails = False

    def _take(self, changed: Collection[str]) -> Steps[None]:
        """Make the pieces of tables that changed."""
        present = set(self._tables.names())
        for route in changed:
            if route in present:
                table = yield from self._tables.kept(route)
                self._kept[route] = kept_pb2.KeptState(tables=[table]).SerializeToString()
            else:
                self._kept.pop(route, None)
            yield
