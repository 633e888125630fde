"""How long a decision takes: the chooser's, for each request, and the table's, every second."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from statistics import median
from typing import Final

from benchmarks.report import Row
from weftmesh.core.routing.choosing import Chooser
from weftmesh.core.routing.events import Observe, SetMode, SetRoute
from weftmesh.core.routing.feedback import EndpointFeedback, Load
from weftmesh.core.routing.model import Endpoint, Mode, Settings
from weftmesh.core.routing.table import RoutingTable

BATCHES: Final = 200
BATCH: Final = 100
CHOICE_US_MAX: Final = 50.0


def rows() -> list[Row]:
    """The median and 99th percentile of batches of 100, for 10 and for 1,000 endpoints."""
    listed = []
    for count in (10, 1000):
        times_us = sorted(_times_us(_choice(count)))
        listed.append(Row(f"choice, {count} endpoints", "p50", median(times_us), "us", "hold", CHOICE_US_MAX))
        listed.append(Row(f"choice, {count} endpoints", "p99", times_us[len(times_us) * 99 // 100], "us"))
    listed.append(Row("table decision, 10 endpoints", "p50", median(_times_us(_decision(10), batches=20)), "us"))
    return listed


def _choice(count: int) -> Callable[[], None]:
    rng = random.Random(1)  # noqa: S311
    endpoints = [EndpointFeedback(Endpoint(f"e{at}", "", 4), 0.0) for at in range(count)]
    for one in endpoints:
        one.sent()
        one.answered(0.1, 0.03, True, 0.02, Load(rng.uniform(0.01, 0.03), 3, 4))
    chooser, now_s = Chooser(endpoints, 0.15, rng), [0.2]

    def choose() -> None:
        now_s[0] += 0.001
        chooser.choose(now_s[0])

    return choose


def _decision(count: int) -> Callable[[], None]:
    table, rng, now_s = RoutingTable(), random.Random(1), [0.0]  # noqa: S311
    endpoints = tuple(Endpoint(f"e{at}", "", 4) for at in range(count))
    table.apply(SetRoute("r", endpoints, Settings()), 0.0)
    table.apply(SetMode("r", Mode.ACT), 0.0)
    feedback = [EndpointFeedback(one, 0.0) for one in endpoints]

    def decide() -> None:
        now_s[0] += 1.0
        for one in feedback:
            one.probed(now_s[0], 0.001, True, Load(rng.uniform(0.01, 0.03), 3, 4))
        table.apply(Observe("r", tuple(one.reading(now_s[0]) for one in feedback)), now_s[0])

    return decide


def _times_us(call: Callable[[], None], batches: int = BATCHES) -> list[float]:
    times = []
    for _ in range(batches):
        begin_ns = time.perf_counter_ns()
        for _ in range(BATCH):
            call()
        times.append((time.perf_counter_ns() - begin_ns) / 1e3 / BATCH)
    return times
