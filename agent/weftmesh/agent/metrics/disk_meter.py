"""The disk and the snapshots of a log, with how long they take."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from weftmesh.agent.raft.log.disk import SystemDisk
from weftmesh.agent.raft.ports import SnapshotInfo
from weftmesh.agent.raft.snapshots.store import SnapshotStore
from weftmesh.mesh.v1 import raft_pb2
from weftmesh.runtime.metrics.histogram import Histogram


class MeteredDisk(SystemDisk):
    """The system's, whose syncs are timed; the log lets one sync through at a time.

    Attributes:
        sync_times: seconds.
    """

    def __init__(self, *, fsync: bool = True) -> None:
        super().__init__(fsync=fsync)
        self.sync_times = Histogram()

    def sync_data(self, fd: int) -> None:
        """See SystemDisk."""
        began_s = time.perf_counter()
        super().sync_data(fd)
        self.sync_times.observe(time.perf_counter() - began_s)


class MeteredSnapshots(SnapshotStore):
    """Snapshots, with what their writing took.

    Attributes:
        written: since the start.
        last_duration_s: of the newest one that was written here; None before.
    """

    def __init__(self, directory: Path, cluster: str) -> None:
        super().__init__(directory, cluster)
        self.written = 0
        self.last_duration_s: float | None = None

    def write(self, header: raft_pb2.SnapshotHeader, rows: Iterator[bytes]) -> SnapshotInfo:
        """See SnapshotStore."""
        began_s = time.perf_counter()
        info = super().write(header, rows)
        self.last_duration_s = time.perf_counter() - began_s
        self.written += 1
        return info
