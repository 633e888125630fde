"""An oracle: the endpoints as they are this very moment, and the chances of every fault. Nobody can know that much.

It does not know the request's own work or luck. It minimises the same cost as ours does, so it shows what perfect
information would be worth, not what the best possible policy would reach.
"""

from __future__ import annotations

import math
import random

from benchmarks.routing.engine import World
from benchmarks.routing.policies.plain import Plain
from benchmarks.routing.scenario import STEP_S, TIMEOUT_S, WORK_S
from weftmesh.core.routing.choosing import PENALTY_S


class Oracle(Plain):
    """For one client of a world."""

    def __init__(self, endpoints: int, rng: random.Random, world: World, client: int) -> None:
        super().__init__(endpoints, rng)
        self._world, self._client = world, client

    def pick(self, now_s: float) -> int:
        """The endpoint whose expected cost is lowest."""
        scenario, step = self._world.scenario, int(now_s / STEP_S)
        best, best_cost = 0, math.inf
        for endpoint, server in enumerate(self._world.servers):
            rtt_s = scenario.rtt_s[self._client][endpoint][step]
            arrive_s = now_s + rtt_s / 2.0
            wait_s = max(0.0, server.free_at_s[0] - arrive_s)
            service_s = WORK_S / scenario.speed[endpoint][step]
            slack_s = scenario.threshold_s - wait_s - rtt_s
            good = (1.0 - math.exp(-slack_s / service_s)) if slack_s > 0.0 else 0.0
            good *= 1.0 - max(scenario.error[endpoint][step], scenario.hang[endpoint][step])
            good *= (1.0 - scenario.stall[endpoint][step]) * (1.0 - scenario.loss[self._client][endpoint][step])
            cost = min(wait_s, TIMEOUT_S) + service_s + rtt_s + PENALTY_S * (1.0 - good)
            if cost < best_cost:
                best, best_cost = endpoint, cost
        return best
