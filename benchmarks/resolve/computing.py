"""What is computed for one decision, one choice and one plan, in this process and without a network."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable

from benchmarks.report import Row
from benchmarks.resolve.agreed import agreement
from weftmesh.core.ola.plan import plan
from weftmesh.core.routing.choosing import Chooser
from weftmesh.core.routing.events import Observe, SetMode, SetRoute
from weftmesh.core.routing.feedback import EndpointFeedback
from weftmesh.core.routing.model import Endpoint, Mode, Reading
from weftmesh.core.routing.table import RoutingTable

DECISIONS = 5_000
STEPPED = 50
CHOICES = 20_000
OLAS = 200
ENDPOINTS_EACH = 50


def rows() -> list[Row]:
    """All figures."""
    return [
        Row("decision for a request, 10 endpoints", "median", choice_us(10), "us"),
        Row("decision for a request, 1,000 endpoints", "median", choice_us(1_000), "us"),
        Row("table of 10 endpoints, at rest", "median", decision_us(10, 0.001), "us"),
        Row("table of 10 endpoints, unsteady", "median", decision_us(10, 0.01), "us"),
        Row("table of 1,000 endpoints, unsteady", "median of its longest step", longest_step_us(1_000), "us"),
        Row(f"plan of {OLAS} OLAs, {OLAS * ENDPOINTS_EACH:,} endpoints", "time", plan_s(), "s"),
    ]


def decision_us(count: int, spread_s: float) -> float:
    """One evaluation of a table, with other readings each time; `spread_s` is how far working times differ."""
    rng, table = random.Random(1), RoutingTable()  # noqa: S311, the same each time
    table.apply(SetRoute("pay", _endpoints(count)), 0.0)
    table.apply(SetMode("pay", Mode.ACT), 0.0)
    rounds = [_readings(count, spread_s, rng) for _ in range(DECISIONS)]
    times = iter(range(1, DECISIONS + 1))
    events = iter(rounds)
    return _median_us(DECISIONS, lambda: table.apply(Observe("pay", next(events)), float(next(times))))


def longest_step_us(count: int) -> float:
    """How long a decision holds the router's loop at a time, in processor time, since one step of many meets others."""
    rng, table = random.Random(1), RoutingTable()  # noqa: S311, the same each time
    table.apply(SetRoute("pay", _endpoints(count), mode=Mode.ACT), 0.0)
    longest = []
    for number in range(1, STEPPED + 1):
        took = [0.0]
        steps = table.apply_in_steps([Observe("pay", _readings(count, 0.01, rng))], float(number))
        begun_s = time.thread_time()
        for _ in steps:
            took.append((time.thread_time() - begun_s) * 1e6)
            begun_s = time.thread_time()
        longest.append(max(*took, (time.thread_time() - begun_s) * 1e6))
    return statistics.median(longest)


def choice_us(count: int) -> float:
    """One choice of an endpoint."""
    rng = random.Random(1)  # noqa: S311, the same each time
    known = [EndpointFeedback(one, 0.0) for one in _endpoints(count)]
    for one in known:
        one.answered(0.5, rng.uniform(0.02, 0.03), True, None, None)
    chooser = Chooser(known, 0.1, rng)
    return _median_us(CHOICES, lambda: chooser.choose(1.0))


def plan_s() -> float:
    """What applying all agreements to an empty mesh would change."""
    wanted = [
        agreement(f"s{number}", [f"10.0.{number}.{at}:80" for at in range(ENDPOINTS_EACH)], probed=True)
        for number in range(OLAS)
    ]
    begun_s = time.perf_counter()
    plan([], wanted)
    return time.perf_counter() - begun_s


def _endpoints(count: int) -> tuple[Endpoint, ...]:
    return tuple(Endpoint(f"e{at}", f"10.0.0.1:{at + 1}", 4.0) for at in range(count))


def _readings(count: int, spread_s: float, rng: random.Random) -> tuple[Reading, ...]:
    return tuple(
        Reading(
            f"e{at}", rng.uniform(0.02, 0.02 + spread_s), 0.001, rng.uniform(0.0, 0.01), rng.uniform(0.0, 3.0), 50.0
        )
        for at in range(count)
    )


def _median_us(count: int, work: Callable[[], object]) -> float:
    took = []
    for _ in range(count):
        begun_s = time.perf_counter()
        work()
        took.append((time.perf_counter() - begun_s) * 1e6)
    return statistics.median(took)
