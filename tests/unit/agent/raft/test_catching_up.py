"""A follower that missed many entries: what it costs to bring it up to date grows with their number and no faster."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from tests.fakes.raft_engines import Engines, Host
from tests.fakes.storage import FakeSnapshotStorage

from weftmesh.agent.raft.log.wal import WriteAheadLog
from weftmesh.agent.raft.settings import RaftSettings

FEW, MANY = 12_000, 48_000
"""More than is held in memory, so that both are read back from the disk."""
AT_ONCE = 1_000
MARGIN = 2.5
"""Of processor time for each entry, on a busy machine; if each cost as much as there are, it would be four."""
NEVER = 1 << 40
SETTINGS = RaftSettings(
    election_min_s=10.0, election_max_s=15.0, snapshot_every_entries=NEVER, snapshot_every_bytes=NEVER
)
"""The leader stays, however busy the machine is."""


async def start(mesh: Engines, tmp_path: Path) -> None:
    """Three nodes with logs on disk."""
    for name in "abc":
        log = WriteAheadLog.open(tmp_path / name, fsync=False, on_failure=print)
        mesh.hosts[name] = Host(name, log, FakeSnapshotStorage())  # type: ignore[arg-type]  # as good as the fake
    await mesh.found("a", "b", "c")


async def catch_up_s(mesh: Engines, count: int) -> float:
    """Processor time for each of `count` entries that c missed, at all nodes."""
    mesh.network.cut("ab", "c")
    leader = await mesh.elected("ab")
    for _ in range(count // AT_ONCE):
        await asyncio.gather(*(leader.up.propose(b"x" * 100, 60) for _ in range(AT_ONCE)))
    c = mesh.hosts["c"].up
    missing = leader.up.status().applied_index - c.status().applied_index
    assert missing >= count
    begun_s = time.process_time()
    mesh.network.heal()
    await mesh.until(lambda: c.status().applied_index >= leader.up.status().applied_index, timeout_s=300)
    return (time.process_time() - begun_s) / missing


@pytest.mark.slow
async def test_catching_up_takes_time_in_proportion(tmp_path: Path) -> None:
    mesh = Engines(SETTINGS)
    await start(mesh, tmp_path)
    try:
        few_s = await catch_up_s(mesh, FEW)
        many_s = await catch_up_s(mesh, MANY)
        print(f"{few_s * 1e6:.1f} us for each of {FEW:,} entries, {many_s * 1e6:.1f} us for each of {MANY:,}")
        assert many_s < MARGIN * few_s
        assert all(host.machine.restored == 0 and host.failures == [] for host in mesh.hosts.values())
    finally:
        await mesh.stop()
