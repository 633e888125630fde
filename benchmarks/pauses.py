"""How long snapshots hold up the event loop of a node: taking one, and installing one that a leader sent.

`python -m benchmarks.pauses DIRECTORY` takes the newest snapshot below a node's data directory; `benchmarks.scale`
calls `measure` for the mesh that it filled.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import statistics
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import uvloop

from benchmarks.report import Row
from weftmesh.agent.board.machines import LogMachines
from weftmesh.agent.raft.core.installing import Prepared
from weftmesh.agent.raft.ports import SnapshotInfo
from weftmesh.agent.raft.snapshots.installer import SnapshotInstaller
from weftmesh.agent.raft.snapshots.store import SnapshotStore
from weftmesh.core.clock import HybridClock
from weftmesh.core.errors import DataCorruptionError, NotFoundError
from weftmesh.mesh.v1 import raft_pb2

CLUSTER: Final = "dev"
TICK_S: Final = 0.001
IDLE_S: Final = 3.0
FREEZES: Final = 21


class _Received(SnapshotStore):
    """The newest snapshot of a node, as if a leader had just sent all of it."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, CLUSTER)
        info = self.latest()
        if info is None:
            raise NotFoundError(f"there is no snapshot in {directory}; stop the node in order, then it has one")
        self._info: SnapshotInfo = info

    def finish_receive(self, chunk: raft_pb2.SnapshotChunk) -> SnapshotInfo:  # noqa: ARG002, it is the newest
        return self._info


class _Ticks:
    """How late a timer of one millisecond is, in milliseconds; the loop was held that long."""

    def __init__(self) -> None:
        self.late_ms: list[float] = []

    async def run(self) -> None:
        last_s = time.perf_counter()
        while True:
            await asyncio.sleep(TICK_S)
            now_s = time.perf_counter()
            self.late_ms.append(max(0.0, now_s - last_s - TICK_S) * 1000)
            last_s = now_s

    def rows(self, name: str, what: str) -> Iterator[Row]:
        """The longest hold and the 99th percentile of what was seen until now; forgets it."""
        seen, self.late_ms = sorted(self.late_ms), []
        yield Row(name, f"{what}_longest_hold", round(seen[-1], 1), "ms")
        yield Row(name, f"{what}_hold_p99", round(seen[len(seen) * 99 // 100], 1), "ms")


@asynccontextmanager
async def _ticking() -> AsyncIterator[_Ticks]:
    ticks = _Ticks()
    task = asyncio.create_task(ticks.run())
    try:
        yield ticks
    finally:
        task.cancel()


async def _install(machine: LogMachines, snapshots: SnapshotStore) -> float:
    """Replace the machine's board by the snapshot; milliseconds that the swap itself took."""
    prepared: asyncio.Future[Prepared | None] = asyncio.get_running_loop().create_future()
    installer = SnapshotInstaller(snapshots, machine, lambda task: prepared.set_result(task.result()))
    installer.begin(raft_pb2.SnapshotChunk())
    result = await prepared
    if result is None:
        raise DataCorruptionError("the snapshot does not verify")
    begun_s = time.perf_counter()
    former = result.swap()
    took_ms = (time.perf_counter() - begun_s) * 1000
    installer.let_go(former)
    await installer.settled()
    return took_ms


def _freeze_ms(machine: LogMachines) -> float:
    begun_s = time.perf_counter()
    machine.snapshot()
    return (time.perf_counter() - begun_s) * 1000


async def measure(directory: Path, name: str) -> list[Row]:
    """Install the newest snapshot in `directory` over itself, and take some of it.

    Raises:
        NotFoundError: there is none.
    """
    snapshots = _Received(directory)
    machine = LogMachines("mesh", HybridClock())
    rows: list[Row] = []
    async with _ticking() as ticks:
        await asyncio.sleep(IDLE_S)
        rows += ticks.rows(name, "idle")
        await _install(machine, snapshots)
        rows += ticks.rows(name, "install")
        swap_ms = await _install(machine, snapshots)
        rows += ticks.rows(name, "replace")
    rows.append(Row(name, "replace_swap", round(swap_ms, 3), "ms"))
    gc.collect()
    pauses_ms = [_freeze_ms(machine) for _ in range(FREEZES)]
    rows.append(Row(name, "snapshot_pause_p50", round(statistics.median(pauses_ms), 2), "ms"))
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("directory", type=Path, help="a node's data directory")
    directory = parser.parse_args().directory / "mesh" / "snapshots"
    for row in uvloop.run(measure(directory, "snapshot")):
        print(f"{row.row:<28} {row.metric:<28} {row.value:>12,} {row.unit}")


if __name__ == "__main__":
    main()
