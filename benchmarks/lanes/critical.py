"""The critical lane beside busy processes: with SCHED_RR, and the same as an ordinary process."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.lanes import ticks
from benchmarks.lanes.busy import busy_processes
from benchmarks.lanes.overload import quantile
from benchmarks.report import Row
from weftmesh.runtime.lanes.critical.lane import CriticalLane, LaneSettings, LaneStatus
from weftmesh.runtime.lanes.critical.messages import Tick, TickResult

PERIOD_S: Final = 0.01
ROOT: Final = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Lateness:
    """Of the starts of one lane, in milliseconds."""

    status: LaneStatus
    late_ms: list[float]

    def quantile(self, q: float) -> float:
        """By nearest rank."""
        return quantile(self.late_ms, q)


async def measure(seconds: float, busy: int) -> tuple[Lateness, Lateness]:
    """Run both lanes at the same time, beside the same load.

    Args:
        seconds: for how long.
        busy: so many processes use all they get.

    Returns:
        With SCHED_RR (see `status.real_time`), without.
    """
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    late_ms: tuple[list[float], list[float]] = ([], [])
    lanes = [
        CriticalLane([ticks.MODULE], _into(into), LaneSettings(real_time=real_time))
        for into, real_time in zip(late_ms, (True, False), strict=True)
    ]
    for lane in lanes:
        await lane.start()
    try:
        with busy_processes(busy):
            await asyncio.sleep(0.5)
            for lane in lanes:
                lane.set_ticks([Tick("nothing", "nothing", PERIOD_S, 1.0)])
            await asyncio.sleep(seconds)
            statuses = [lane.status() for lane in lanes]
    finally:
        for lane in lanes:
            await lane.stop()
    with_rr, without = (Lateness(one, of) for one, of in zip(statuses, late_ms, strict=True))
    return with_rr, without


def rows(with_rr: Lateness, without: Lateness, busy: int) -> list[Row]:
    """The figures of both; the ordinary lane is the peer."""
    listed = []
    for metric, q in (("start p50", 0.5), ("start p99", 0.99), ("start max", 1.0)):
        ours, peer = with_rr.quantile(q), without.quantile(q)
        ratio = round(ours / peer, 4) if peer else None
        name = f"critical lane, {busy} busy processes"
        listed.append(Row(name, metric, round(ours, 3), "ms", "without SCHED_RR", round(peer, 3), ratio))
    listed.append(Row(name, "starts", len(with_rr.late_ms), "", "without SCHED_RR", len(without.late_ms)))
    listed.append(Row(name, "real time", float(with_rr.status.real_time), ""))
    return listed


def _into(late_ms: list[float]) -> Callable[[TickResult], None]:
    return lambda one: late_ms.append(one.late_s * 1e3)
