"""Writes snapshots beside the event loop: one at a time, in a thread that lets the loop go first."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator

from weftmesh.agent.raft.ports import SnapshotInfo, SnapshotStorage
from weftmesh.mesh.v1 import raft_pb2


class _AbandonedError(Exception):
    """The snapshot is not wanted any more."""


class SnapshotWriter:
    """At most one snapshot being written.

    Args:
        snapshots: where they go.
        done: called on the loop with the durable snapshot, or with what stopped it.
    """

    def __init__(self, snapshots: SnapshotStorage, done: Callable[[asyncio.Future[SnapshotInfo]], None]) -> None:
        self._snapshots = snapshots
        self._done = done
        self._task: asyncio.Task[SnapshotInfo] | None = None
        self._abandoned = threading.Event()

    def begin(self, header: raft_pb2.SnapshotHeader, rows: Callable[[], Iterator[bytes]]) -> None:
        """Write `header` and the rows that `rows` yields in the thread."""
        writing = asyncio.to_thread(lambda: self._snapshots.write(header, self._paced(rows())))
        self._task = asyncio.get_running_loop().create_task(writing)
        self._task.add_done_callback(self._done)

    async def finish(self, timeout_s: float) -> SnapshotInfo | None:
        """Wait for the one under way, and abandon it after `timeout_s`; returns the last one if it was written.

        Abandoned or failed, nothing of it is left.
        """
        if self._task is None:
            return None
        await asyncio.wait([self._task], timeout=timeout_s)
        self._abandoned.set()
        await asyncio.wait([self._task])
        return None if self._task.cancelled() or self._task.exception() else self._task.result()

    def _paced(self, rows: Iterator[bytes]) -> Iterator[bytes]:
        for row in rows:
            os.sched_yield()  # lets go of the interpreter, for which the loop would wait 5 ms at every turn
            if self._abandoned.is_set():
                raise _AbandonedError
            yield row
