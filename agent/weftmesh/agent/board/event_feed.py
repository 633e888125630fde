"""Lets anybody on the loop wait for a board to move on, and remembers when recent commits happened."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from weftmesh.agent.board.machines import LogMachines
from weftmesh.board.v1 import board_pb2
from weftmesh.core.board.outcomes import Event

COMMIT_TIMES_KEPT: Final = 4_096


class EventFeed:
    """Wakes waiters after every applied entry. The events themselves stay in the board's bounded watch log."""

    def __init__(self, machine: LogMachines, commit_times_kept: int = COMMIT_TIMES_KEPT) -> None:
        self._machine = machine
        self._commit_times_kept = commit_times_kept
        self._waiters: set[asyncio.Future[None]] = set()
        self.latest: dict[tuple[str | None, int, int], board_pb2.WatchResponse] = {}
        """By project and range of revisions, what one watcher built since the board last moved: the others at the
        same place send the same message. A message takes as long to build as a write to apply."""
        self._commit_times: dict[int, int] = {}
        self._oldest_first: deque[int] = deque()
        """The revisions in `_commit_times`: a dict would search for its first key behind all that were deleted."""
        self._handed_over: list[Callable[[int], None]] = []
        machine.on_applied(self._on_applied)
        machine.on_restored(self.wake)

    def on_handed_over(self, listener: Callable[[int], None]) -> None:
        """Call `listener(commit_time_us)` once the watchers of an entry have been woken."""
        self._handed_over.append(listener)

    def commit_time_us(self, revision: int) -> int:
        """When the leader committed `revision`, microseconds since 1970; 0 when unknown or long ago."""
        return self._commit_times.get(revision, 0)

    async def moved(self) -> None:
        """Return at the next change of the board."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)

    async def wait_for(self, revision: int) -> None:
        """Return once the board has reached `revision`; the caller bounds the time."""
        while self._machine.board.revision < revision:
            await self.moved()

    def _on_applied(self, events: Sequence[Event], commit_time_us: int) -> None:
        if commit_time_us:
            for event in events:
                self._commit_times[event.revision] = commit_time_us
                self._oldest_first.append(event.revision)
            self._forget_old()
        self.wake()
        if commit_time_us and self._handed_over:
            # After the waiters, which the wake-up has put on the loop already.
            asyncio.get_running_loop().call_soon(self._tell_handed_over, commit_time_us)

    def _tell_handed_over(self, commit_time_us: int) -> None:
        for listener in self._handed_over:
            listener(commit_time_us)

    def _forget_old(self) -> None:
        for _ in range(len(self._oldest_first) - self._commit_times_kept):
            self._commit_times.pop(self._oldest_first.popleft(), None)

    def wake(self) -> None:
        """Let everybody who waits look again, and forget what was built for them."""
        self.latest.clear()
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
