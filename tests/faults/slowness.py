"""A follower that cannot keep up: stopped most of the time, short of processor time, or behind a thin link."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.faults.network import Network
from tests.faults.stage import Stage, StageError

SLOW_S = 5.0
STOPPED_S, RUNNING_S = 0.40, 0.05
CPU_QUOTA_PERCENT = 8
CPU_PERIOD_US = 100_000
CPU_GROUPS = Path("/sys/fs/cgroup/cpu")
LINK_KILOBITS_PER_S = 800
BULK_WRITES, BULK_BYTES, BULK_EVERY_S = 8, 32_000, 0.2
LEADER_GROWTH_MIB_MAX = 128
"""The board itself grows by what is written; a queue without a bound for the slow peer would come on top."""
WATCHERS_BEHIND_S_MAX = 10.0


async def slow_follower(stage: Stage[Network]) -> None:
    """Commits go on without the slow node, watchers of the others stay current, the leader's memory stays bounded."""
    leader = await stage.leader()
    slow = stage.random.choice(stage.others(leader))
    before_bytes = await _resident_bytes(stage, leader)
    ways = (_mostly_stopped, _short_of_cpu, _thin_link)
    begun_s = time.monotonic()
    async with ways[stage.round % len(ways)](stage, slow):
        stage.strike(slow)
        while time.monotonic() < begun_s + SLOW_S:
            await stage.load.create_bulk(leader, BULK_WRITES, BULK_BYTES)
            await asyncio.sleep(BULK_EVERY_S)
        await stage.resumed()
        await stage.flowing(stage.others(slow))
    grown_mib = (await _resident_bytes(stage, leader) - before_bytes) / (1 << 20)
    if grown_mib > LEADER_GROWTH_MIB_MAX:
        raise StageError(f"the leader grew by {grown_mib:.0f} MiB while {slow} was slow")
    await stage.leader()
    behind_s = _watchers_behind_s(stage, slow, begun_s)
    if behind_s > WATCHERS_BEHIND_S_MAX:
        raise StageError(f"watchers of nodes that were well came {behind_s:.1f} s after the acknowledgement")
    stage.notes.append(f"leader +{grown_mib:.0f} MiB, watchers of the others at most {behind_s * 1e3:.0f} ms behind")


@asynccontextmanager
async def _mostly_stopped(stage: Stage[Network], name: str) -> AsyncIterator[None]:
    node = stage.mesh.node(name)

    async def turns() -> None:
        while True:
            node.send_signal(signal.SIGSTOP)
            await asyncio.sleep(STOPPED_S)
            node.send_signal(signal.SIGCONT)
            await asyncio.sleep(RUNNING_S)

    task = asyncio.create_task(turns())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        node.send_signal(signal.SIGCONT)


@asynccontextmanager
async def _short_of_cpu(stage: Stage[Network], name: str) -> AsyncIterator[None]:
    """By a control group of its own; where there is none to be had, by stopping it."""
    if not (CPU_GROUPS / "cpu.cfs_quota_us").exists() or not os.access(CPU_GROUPS, os.W_OK):
        async with _mostly_stopped(stage, name):
            yield
        return
    pid = stage.mesh.node(name).pid
    group = CPU_GROUPS / f"weftmesh-{pid}"
    group.mkdir()
    try:
        (group / "cpu.cfs_period_us").write_text(str(CPU_PERIOD_US))
        (group / "cpu.cfs_quota_us").write_text(str(CPU_PERIOD_US * CPU_QUOTA_PERCENT // 100))
        (group / "cgroup.procs").write_text(str(pid))
        yield
    finally:
        for line in (group / "cgroup.procs").read_text().split():
            (CPU_GROUPS / "cgroup.procs").write_text(line)
        group.rmdir()


@asynccontextmanager
async def _thin_link(stage: Stage[Network], name: str) -> AsyncIterator[None]:
    """To and from the node, with a queue that adds delay."""
    stage.site.throttle(name, LINK_KILOBITS_PER_S)
    try:
        yield
    finally:
        stage.site.heal()


async def _resident_bytes(stage: Stage[Network], name: str) -> int:
    return (await stage.load.clients[name].mesh.get_status()).rss_bytes


def _watchers_behind_s(stage: Stage[Network], slow: str, since_s: float) -> float:
    """The longest time from an acknowledgement by a node that is well to the event at a watcher of one that is."""
    well = stage.others(slow)
    return max(
        (
            stage.watchers[name].arrived_s[one.request_id] - one.returned_s
            for one in stage.load.record.answered
            for name in well
            if one.node in well and one.returned_s > since_s and one.request_id in stage.watchers[name].arrived_s
        ),
        default=0.0,
    )
