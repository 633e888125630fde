"""Drives the core from the event loop: nothing polls, every tick has a reason, and syncs run beside them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from weftmesh.agent.raft.core.hardened import HardenedSyncObj
from weftmesh.agent.raft.core.pin import monotonic_s
from weftmesh.agent.raft.engine import RaftStatus
from weftmesh.agent.raft.ports import LogStorage

log = structlog.get_logger(__name__)

TIMER_FLOOR_S: Final = 0.001
"""No timer is shorter: what is due at once is scheduled, not timed."""


class CoreDriver:
    """Lets the core act, tick and sync from `start` until `halt`.

    Args:
        core: what is driven.
        storage: the core's log.
        changed: told the status after each tick that changed the role, the term, the leader, the quorum or the members.
        failed: called with whatever the core or its disk raised; it is to halt.
        home: which of the node's logs this is, in what is logged.
    """

    def __init__(
        self,
        core: HardenedSyncObj,
        storage: LogStorage,
        changed: Callable[[RaftStatus], None],
        failed: Callable[[BaseException], None],
        home: str,
    ) -> None:
        self.running = False
        self._core = core
        self._storage = storage
        self._changed = changed
        self._failed = failed
        self._home = home
        self._loop: asyncio.AbstractEventLoop
        self._tick_scheduled = False
        self._timer: asyncio.TimerHandle | None = None
        self._seen: tuple[object, ...] = ()

    def start(self) -> None:
        """Drive from now on, on the loop that runs."""
        self._loop = asyncio.get_running_loop()
        self.running = True

    def halt(self) -> None:
        """Let the core do nothing more."""
        self.running = False
        if self._timer is not None:
            self._timer.cancel()

    def act(self, act: Callable[[], None]) -> bool:
        """Let the core act while it runs; whatever it raises is the disk or a broken invariant, and ends the engine."""
        if not self.running:
            return False
        try:
            act()
        except Exception as error:  # noqa: BLE001 - whatever it is, going on with it could break a promise
            self._failed(error)
            return False
        return True

    def schedule(self) -> None:
        """Have the core tick soon."""
        if self.running and not self._tick_scheduled:
            self._tick_scheduled = True
            self._loop.call_soon(self._tick)

    def schedule_if_needed(self) -> None:
        """Have the core tick soon if what happened left anything to do."""
        if self._core.has_work:
            self.schedule()

    def sync(self) -> None:
        """Begin a sync of what was written, beside the network; one that runs is followed by another."""
        if self.running and self._storage.durable_mark < self._storage.written_mark:
            self._storage.start_sync(self._synced)

    def _synced(self) -> None:
        self.act(self._core.release_acknowledgements)
        self.sync()
        self.schedule_if_needed()

    def _tick(self) -> None:
        self._tick_scheduled = False
        if not self.act(self._tick_and_sync):
            return
        self._tell_changes()
        if self._core.behind:
            self.schedule()
        else:
            self._set_timer(self._core.next_deadline_s())

    def _tick_and_sync(self) -> None:
        self._core.tick()
        self.sync()

    def _set_timer(self, deadline_s: float) -> None:
        """One timer; one that rings too early costs less than to move it at every tick."""
        if deadline_s == float("inf"):
            return
        at_s = self._loop.time() + max(deadline_s - monotonic_s(), TIMER_FLOOR_S)
        if self._timer is not None:
            if self._timer.when() <= at_s:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(at_s, self._timer_rang)

    def _timer_rang(self) -> None:
        self._timer = None
        self.schedule()

    def _tell_changes(self) -> None:
        seen = self._core.summary()
        if seen == self._seen:
            return
        self._seen = seen
        status = self._core.status()
        facts = {"term": status.term, "leader": status.leader, "quorum": status.quorum}
        log.info("raft.changed", home=self._home, role=status.role.value, **facts)
        self._changed(status)
