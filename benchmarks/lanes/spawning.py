"""What a child process costs: heavy work in a new worker, in a kept one, and a turn on the loop."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from statistics import median
from typing import Final

from benchmarks.lanes.critical import ROOT
from benchmarks.lanes.ticks import MODULE
from benchmarks.report import Row
from weftmesh.core.ola.model import ServiceClass
from weftmesh.runtime.lanes.cooperative import Lanes
from weftmesh.runtime.lanes.heavy.pool import HeavyPool, PoolSettings

TIMES: Final = 10
BATCH: Final = 100


async def rows() -> list[Row]:
    """Medians."""
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    kept = HeavyPool([MODULE])
    await kept.run("nothing", b"", 60.0)
    lanes = Lanes()
    listed = [
        Row("heavy work", "in a new worker p50", round(await _median_s(_in_new) * 1e3, 2), "ms"),
        Row("heavy work", "in a kept worker p50", round(await _median_s(lambda: _in_kept(kept)) * 1e3, 3), "ms"),
        Row(
            "lanes, nothing else to do",
            "a job p50",
            round(await _median_s(lambda: _jobs(lanes)) / BATCH * 1e6, 1),
            "us",
        ),
        Row("asyncio", "a task p50", round(await _median_s(_tasks) / BATCH * 1e6, 1), "us"),
    ]
    await kept.stop()
    await lanes.stop()
    return listed


async def _in_new() -> None:
    pool = HeavyPool([MODULE], PoolSettings(idle_s=0.0))
    await pool.run("nothing", b"", 60.0)
    await pool.stop()


async def _in_kept(pool: HeavyPool) -> None:
    await pool.run("nothing", b"", 60.0)


async def _jobs(lanes: Lanes) -> None:
    for _ in range(BATCH):
        await lanes.submit(ServiceClass.NORMAL, 1.0, _done(), name="nothing")


async def _tasks() -> None:
    for _ in range(BATCH):
        await asyncio.create_task(_done())


async def _done() -> None:
    pass


async def _median_s(call: Callable[[], Awaitable[None]]) -> float:
    times_s = []
    for _ in range(TIMES):
        begun_s = time.perf_counter()
        await call()
        times_s.append(time.perf_counter() - begun_s)
    return median(times_s)
