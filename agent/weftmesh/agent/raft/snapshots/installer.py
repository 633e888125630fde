"""Installs received snapshots beside the event loop: verified, read and made into a state in a thread."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from weftmesh.agent.raft.core.installing import Prepared
from weftmesh.agent.raft.engine import StateMachine
from weftmesh.agent.raft.ports import SnapshotStorage
from weftmesh.core.errors import DataCorruptionError, NotFoundError
from weftmesh.mesh.v1 import raft_pb2
from weftmesh.runtime.memory import give_back

PAUSE_S = 0.000_05
"""After each piece of work the loop goes first. A mere yield would take the interpreter back before the loop wakes."""

_Item = TypeVar("_Item")


class AbandonedError(Exception):
    """What was under way is not wanted any more."""


class SnapshotInstaller:
    """At most one snapshot being prepared.

    Args:
        snapshots: where it was received.
        machine: what it is for.
        prepared: called on the loop with it, or with what stopped it; a result of None says that it did not verify.
    """

    def __init__(
        self,
        snapshots: SnapshotStorage,
        machine: StateMachine,
        prepared: Callable[[asyncio.Future[Prepared | None]], None],
    ) -> None:
        self._snapshots = snapshots
        self._machine = machine
        self._prepared = prepared
        self._tasks: set[asyncio.Task[Prepared | None] | asyncio.Task[None]] = set()
        self._abandoned = threading.Event()

    def begin(self, chunk: raft_pb2.SnapshotChunk) -> None:
        """Verify the snapshot that this chunk completed, and make its state, in a thread."""
        task = asyncio.get_running_loop().create_task(asyncio.to_thread(self._prepare, chunk))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(self._prepared)

    def let_go(self, former: Iterator[None]) -> None:
        """Run down what lets go of a former state, in a thread."""
        task = asyncio.get_running_loop().create_task(asyncio.to_thread(self._run_down, former))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settled(self) -> None:
        """Wait for what is under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def finish(self) -> None:
        """Abandon what is under way."""
        self._abandoned.set()
        await self.settled()

    def _prepare(self, chunk: raft_pb2.SnapshotChunk) -> Prepared | None:
        try:
            info = self._snapshots.finish_receive(chunk)
        except (DataCorruptionError, NotFoundError):
            return None  # to be sent again
        return Prepared(info, self._machine.prepare_restore(self._paced(self._snapshots.rows(info))))

    def _run_down(self, former: Iterator[None]) -> None:
        for _ in former:
            if self._abandoned.is_set():
                return  # the process ends anyway
            time.sleep(PAUSE_S)
        give_back()

    def _paced(self, items: Iterable[_Item]) -> Iterator[_Item]:
        for item in items:
            time.sleep(PAUSE_S)
            if self._abandoned.is_set():
                raise AbandonedError
            yield item
