"""Lanes on one loop with twice the work that it can do: who waits for how long, who gets what, what the loop feels."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from benchmarks.report import Row
from weftmesh.core.ola.model import ServiceClass
from weftmesh.core.schedule.model import SLICE_S, WEIGHTS
from weftmesh.runtime.lanes.cooperative import Lanes
from weftmesh.runtime.lanes.delays import ClassDelays
from weftmesh.runtime.lanes.slicing import STEP_S, pause

ARRIVAL_S: Final = 0.01
WORK_S: Final = {ServiceClass.CRITICAL: 0.004, ServiceClass.NORMAL: 0.008, ServiceClass.BATCH: 0.008}
"""Of processor time, arriving whenever this thread had one for 10 ms: twice as much as it can do."""
DEADLINES_S: Final = {ServiceClass.CRITICAL: 0.05, ServiceClass.NORMAL: 0.5, ServiceClass.BATCH: 5.0}
TICK_S: Final = 0.001
GRAIN_S: Final = 1e-6
"""Less work than this is none: the clock has a grain too."""


@dataclass(slots=True)
class Overload:
    """What was seen.

    Attributes:
        cpu_s: what each class's jobs used.
        steps_ms: processor time of each turn.
        between_ms: processor time of this thread from one call of the loop's timer, which is due every millisecond, to
            the next: what lanes and loop took before the loop looked at anything else.
        late_ms: how late that timer was each time, other processes in between included.
        delays: as `Lanes.delays` told at the end.
        timer: the next call of the loop's timer.
    """

    cpu_s: dict[ServiceClass, float] = field(default_factory=lambda: dict.fromkeys(ServiceClass, 0.0))
    steps_ms: list[float] = field(default_factory=list)
    between_ms: list[float] = field(default_factory=list)
    late_ms: list[float] = field(default_factory=list)
    delays: tuple[ClassDelays, ...] = ()
    timer: asyncio.TimerHandle | None = None

    def share(self, service_class: ServiceClass) -> float:
        """Of the processor time that all lanes used."""
        return self.cpu_s[service_class] / sum(self.cpu_s.values())

    async def job(self, service_class: ServiceClass) -> None:
        """Use processor time in steps of 2 ms."""
        left_s = WORK_S[service_class]
        while left_s > GRAIN_S:
            begun_s = now_s = time.thread_time()
            while now_s < begun_s + min(STEP_S, left_s):
                now_s = time.thread_time()
            self.steps_ms.append((now_s - begun_s) * 1e3)
            self.cpu_s[service_class] += now_s - begun_s
            left_s -= now_s - begun_s
            await pause()

    def look(self, loop: asyncio.AbstractEventLoop, due_s: float, before_s: float) -> None:
        """Called by the loop's timer every millisecond: note how late, and what this thread did meanwhile."""
        now_s, cpu_s = time.perf_counter(), time.thread_time()
        self.between_ms.append((cpu_s - before_s) * 1e3)
        self.late_ms.append(max(0.0, now_s - due_s) * 1e3)
        self.timer = loop.call_later(TICK_S, self.look, loop, now_s + TICK_S, cpu_s)


def quantile(values: Sequence[float], q: float) -> float:
    """By nearest rank."""
    return sorted(values)[min(len(values) - 1, int(len(values) * q))]


async def measure(seconds: float) -> Overload:
    """Submit twice the work there is time for."""
    seen, lanes = Overload(), Lanes()
    loop = asyncio.get_running_loop()
    seen.look(loop, time.perf_counter(), time.thread_time())
    end_s, due_s = time.monotonic() + seconds, time.thread_time()
    while time.monotonic() < end_s:
        while time.thread_time() >= due_s:
            due_s += ARRIVAL_S
            for one, deadline_s in DEADLINES_S.items():
                lanes.submit(one, deadline_s, seen.job(one), name=one.name.lower())
        await asyncio.sleep(TICK_S)
    seen.delays = lanes.delays()
    if seen.timer is not None:
        seen.timer.cancel()
    await lanes.stop()
    return seen


def rows(seen: Overload) -> list[Row]:
    """The figures."""
    name = "lanes at twice the load"
    listed = []
    for metric, values_ms in (
        ("turn, processor time", seen.steps_ms),
        ("between two looks, processor time", seen.between_ms),
        ("loop timer late", seen.late_ms),
    ):
        for label, q in (("p50", 0.5), ("p99", 0.99), ("max", 1.0)):
            listed.append(
                Row(name, f"{metric} {label}", round(quantile(values_ms, q), 3), "ms", "slice", SLICE_S * 1e3)
            )
    for one in seen.delays:
        lane = one.service_class.name.lower()
        share, weight = seen.share(one.service_class), WEIGHTS[one.service_class] / sum(WEIGHTS.values())
        listed.append(Row(name, f"{lane} share", round(share, 3), "", "weight", round(weight, 3)))
        for metric, value_us in (("wait p50", one.wait_p50_us), ("wait p99", one.wait_p99_us)):
            listed.append(Row(name, f"{lane} {metric}", round((value_us or 0.0) / 1e3, 2), "ms"))
        listed.append(Row(name, f"{lane} turn p99", round((one.held_p99_us or 0.0) / 1e3, 2), "ms"))
    return listed
