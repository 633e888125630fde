"""Peak EWMA of two choices with outlier detection: what a service mesh of today does well.

The metric is that of Finagle's `PeakEwma` (twitter/finagle, finagle-core, loadbalancer/PeakEwma.scala) with the decay
time of `Balancers.p2cPeakEwma`, 10 s; Linkerd's is derived from it. A latency above the mean replaces it, one below
decays into it; the load is the mean times the requests in flight plus one; a host without history is avoided while its
first request is out. An error counts with the time it took. It sees its own requests: latency and outcome.
"""

from __future__ import annotations

import math
import random
from typing import Final

from benchmarks.routing.engine import Answer
from benchmarks.routing.policies.outliers import OutlierDetection
from benchmarks.routing.policies.plain import Plain

TAU_S: Final = 10.0
PENALTY: Final = 1e9


class PeakEwma(Plain):
    """Finagle's metric, Envoy's outlier detection."""

    def __init__(self, endpoints: int, rng: random.Random) -> None:
        super().__init__(endpoints, rng)
        self._cost = [0.0] * endpoints
        self._stamp_s = [0.0] * endpoints
        self._outliers = OutlierDetection(endpoints)

    def pick(self, now_s: float) -> int:
        """The less loaded of two healthy endpoints."""
        healthy = self._outliers.healthy
        if len(healthy) == 1:
            choice = healthy[0]
        else:
            one, other = self.rng.sample(healthy, 2)
            choice = one if self._load(now_s, one) <= self._load(now_s, other) else other
        self.in_flight[choice] += 1
        return choice

    def answered(self, now_s: float, answer: Answer) -> None:
        """Take its latency in."""
        super().answered(now_s, answer)
        self._observe(now_s, answer.endpoint, answer.latency_s)
        self._outliers.count(now_s, answer.endpoint, answer.ok)

    def tick(self, now_s: float) -> None:
        """Let the outlier detection work."""
        self._outliers.tick(now_s)

    def _load(self, now_s: float, endpoint: int) -> float:
        self._observe(now_s, endpoint, 0.0)
        cost, pending = self._cost[endpoint], self.in_flight[endpoint]
        return PENALTY + pending if cost == 0.0 and pending else cost * (pending + 1)

    def _observe(self, now_s: float, endpoint: int, latency_s: float) -> None:
        cost = self._cost[endpoint]
        if latency_s > cost:
            self._cost[endpoint] = latency_s
        else:
            keep = math.exp((self._stamp_s[endpoint] - now_s) / TAU_S)
            self._cost[endpoint] = cost * keep + latency_s * (1.0 - keep)
        self._stamp_s[endpoint] = now_s
