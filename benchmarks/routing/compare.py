"""One scenario under every policy: the same requests, the same faults, each client with its own choices."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from benchmarks.routing import families
from benchmarks.routing.engine import Policy, World, run
from benchmarks.routing.policies.oracle import Oracle
from benchmarks.routing.policies.ours import Ours, OursByWeights, reversals_a_minute
from benchmarks.routing.policies.peak_ewma import PeakEwma
from benchmarks.routing.policies.plain import LeastRequest, Random, RoundRobin
from benchmarks.routing.policies.prequal import Prequal

BASELINE: Final = "peak-ewma"
OURS: Final = "ours"
OURS_PREDICTING: Final = "ours-predictor"
OURS_WEIGHTS: Final = "ours-weights"

Make = Callable[[World, int, random.Random], Policy]

POLICIES: Final[dict[str, Make]] = {
    "random": lambda world, _, rng: Random(world.scenario.endpoints, rng),
    "round-robin": lambda world, _, rng: RoundRobin(world.scenario.endpoints, rng),
    "least-request": lambda world, _, rng: LeastRequest(world.scenario.endpoints, rng),
    BASELINE: lambda world, _, rng: PeakEwma(world.scenario.endpoints, rng),
    "prequal": lambda world, _, rng: Prequal(world.scenario.endpoints, rng),
    OURS_WEIGHTS: lambda world, _, rng: OursByWeights(world.scenario.capacity, rng, world.scenario.threshold_s),
    OURS: lambda world, _, rng: Ours(world.scenario.capacity, rng, world.scenario.threshold_s, predicts=False),
    OURS_PREDICTING: lambda world, _, rng: Ours(
        world.scenario.capacity, rng, world.scenario.threshold_s, predicts=True
    ),
    "oracle": lambda world, client, rng: Oracle(world.scenario.endpoints, rng, world, client),
}


@dataclass(frozen=True, slots=True)
class Figures:
    """What one policy made of one scenario.

    Attributes:
        violations: the share of requests that failed or were slower than the agreement allows.
        errors: the share of requests that failed.
        p50_s: median latency of the others.
        p99_s: their 99th percentile.
        reversals: the most turns of one weight in any 60 s; 0 for policies without a table.
        trusted: the share of predictors that were believed at the end.
        skill: median over endpoints of the model's squared error, as a part of that of persistence.
    """

    violations: float
    errors: float
    p50_s: float
    p99_s: float
    reversals: int
    trusted: float
    skill: float


def compare(family: str, seed: int, names: Sequence[str] = tuple(POLICIES)) -> dict[str, Figures]:
    """Run the scenario of a seed under each of the policies."""
    scenario = families.make(family, seed)
    figures = {}
    for name in names:
        world = World(scenario)
        clients = [
            POLICIES[name](world, client, random.Random(f"{family} {seed} {client} choices"))  # noqa: S311
            for client in range(scenario.clients)
        ]
        result = run(world, clients)
        figures[name] = _figures(result.latency_s, result.errors, result.slow, clients)
    return figures


def _figures(latency_s: list[float], errors: int, slow: int, clients: Sequence[Policy]) -> Figures:
    ordered, count = sorted(latency_s), len(latency_s) + errors
    ours = [one for one in clients if isinstance(one, Ours)]
    predictors = [predictor for one in ours for predictor in one.predictors]
    skills = [one.model_error / one.persistence_error for one in predictors if one.persistence_error > 0.0]
    return Figures(
        violations=(errors + slow) / count,
        errors=errors / count,
        p50_s=ordered[len(ordered) // 2],
        p99_s=ordered[len(ordered) * 99 // 100],
        reversals=max((reversals_a_minute(one.history) for one in ours), default=0),
        trusted=sum(one.trusted for one in predictors) / len(predictors) if predictors else 0.0,
        skill=median(skills) if skills else 1.0,
    )
