"""Prequal, asynchronous mode (Wydrowski, Kleinberg, Rumble, Archer: "Load is not what you should balance", NSDI 2024).

From the paper, by way of its abstract and of two public replications that quote its parameters and equation 1:

- three probes with each request, to replicas drawn without replacement; a reply names requests in flight (RIF) and the
  median latency of recent requests that came at about that RIF;
- a pool of probes, at most 16, none older than 1 s; the oldest makes room; a probe is used at most b_reuse times, with
  b_reuse = max(1, (1 + delta) / ((1 - m/n) r_probe - r_remove)), delta = 1, rounded at random;
- r_remove = 1 probe is removed with each request, in turn the oldest and the worst (the hot one with the highest RIF,
  else the cold one with the highest latency);
- hot is a probe whose RIF exceeds the 2**-0.25 quantile of the RIFs seen of late; of the cold probes the one with the
  lowest latency is chosen, without any the one with the lowest RIF; fewer than two probes: a random replica;
- whoever sends a request raises the RIF of the probe that it used.

Not verified, since the full text was not at hand: the window of the RIF distribution (here the last 128 probes), and
whether a new probe replaces an older one of the same replica (here it does, as the term 1 - m/n suggests). Equation 1
asks for n well above m = 16; with 5 to 8 replicas the pool holds n / 2, so that b_reuse is 4. The paper mentions a
heuristic against replicas that fail fast without giving it; this one gets the outlier detection that Peak EWMA has.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass
from typing import Final

from benchmarks.routing.engine import Answer, Probed
from benchmarks.routing.policies.outliers import OutlierDetection
from benchmarks.routing.policies.plain import Plain

POOL_MAX: Final = 16
AGE_MAX_S: Final = 1.0
PROBES: Final = 3
REMOVED: Final = 1
DELTA: Final = 1.0
QUANTILE: Final = 2.0**-0.25
RIF_WINDOW: Final = 128


@dataclass(slots=True)
class Probe:
    """One reply in the pool."""

    endpoint: int
    rif: float
    latency_s: float
    at_s: float
    uses: int


class Prequal(Plain):
    """Asynchronous Prequal with Envoy's outlier detection."""

    probes_per_request = PROBES

    def __init__(self, endpoints: int, rng: random.Random) -> None:
        super().__init__(endpoints, rng)
        self._pool: list[Probe] = []
        self._pool_max = min(POOL_MAX, max(2, endpoints // 2))
        fresh = (1.0 - self._pool_max / endpoints) * PROBES - REMOVED
        self._reuse = max(1.0, (1.0 + DELTA) / fresh) if fresh > 0.0 else 1.0
        self._rifs: deque[float] = deque(maxlen=RIF_WINDOW)
        self._threshold = 0.0
        self._threshold_is_old = False
        self._remove_worst = False
        self._outliers = OutlierDetection(endpoints)

    def pick(self, now_s: float) -> int:
        """The best probe's endpoint."""
        healthy = self._outliers.healthy
        self._pool = [one for one in self._pool if now_s - one.at_s <= AGE_MAX_S and one.endpoint in healthy]
        if len(self._pool) < 2:
            choice = self.rng.choice(healthy)
        else:
            self._renew_threshold()
            probe = min(self._pool, key=self._rank)
            choice = probe.endpoint
            probe.rif += 1.0
            probe.uses -= 1
            if probe.uses <= 0:
                self._pool.remove(probe)
        self._remove()
        self.in_flight[choice] += 1
        return choice

    def targets(self) -> list[int]:
        """Three endpoints."""
        return self.rng.sample(range(self.endpoints), PROBES)

    def probed(self, now_s: float, probe: Probed) -> None:
        """Into the pool."""
        if probe.load is None:
            return
        self._rifs.append(probe.load.in_flight)
        self._threshold_is_old = True
        uses = int(self._reuse) + (self.rng.random() < self._reuse % 1.0)
        self._pool = [one for one in self._pool if one.endpoint != probe.endpoint]
        self._pool.append(Probe(probe.endpoint, probe.load.in_flight, probe.latency_at_s, now_s, uses))
        if len(self._pool) > self._pool_max:
            del self._pool[0]

    def answered(self, now_s: float, answer: Answer) -> None:
        """Only errors matter, to the outlier detection."""
        super().answered(now_s, answer)
        self._outliers.count(now_s, answer.endpoint, answer.ok)

    def tick(self, now_s: float) -> None:
        """Let the outlier detection work."""
        self._outliers.tick(now_s)

    def _renew_threshold(self) -> None:
        if self._threshold_is_old:
            ordered = sorted(self._rifs)
            self._threshold = ordered[int(QUANTILE * (len(ordered) - 1))]
            self._threshold_is_old = False

    def _rank(self, probe: Probe) -> tuple[bool, float]:
        hot = probe.rif > self._threshold
        return (hot, probe.rif if hot else probe.latency_s)

    def _remove(self) -> None:
        if len(self._pool) < 2:
            return
        if self._remove_worst:
            self._pool.remove(max(self._pool, key=self._rank))
        else:
            del self._pool[0]
        self._remove_worst = not self._remove_worst
