"""Outlier detection as Envoy documents it (`config.cluster.v3.OutlierDetection`), with its default parameters.

Five errors in a row eject at once. Every 10 s the success rates of the hosts with at least 100 requests are compared,
if there are at least five such hosts: one that lies more than 1.9 standard deviations below the mean is ejected. An
ejection lasts 30 s times how often the host was ejected, and that number falls by one for each interval in which the
host was fine. At most 10 % of the hosts are ejected at a time, but always one. A timeout counts as an error (a 504).
Ejections by failure percentage are off by default, as in Envoy. Not modelled: the jitter of ejection times (default 0).
"""

from __future__ import annotations

import math
from typing import Final

CONSECUTIVE: Final = 5
INTERVAL_S: Final = 10.0
BASE_EJECTION_S: Final = 30.0
EJECTION_S_MAX: Final = 300.0
MAX_EJECTION_PERCENT: Final = 10
SUCCESS_RATE_HOSTS: Final = 5
SUCCESS_RATE_REQUESTS: Final = 100
STDEV_FACTOR: Final = 1.9


class OutlierDetection:
    """One client's view of its hosts."""

    def __init__(self, endpoints: int) -> None:
        self._consecutive = [0] * endpoints
        self._good = [0] * endpoints
        self._bad = [0] * endpoints
        self._times = [0] * endpoints
        self._until_s = [0.0] * endpoints
        self._sweep_s = INTERVAL_S
        self._allowed = max(1, endpoints * MAX_EJECTION_PERCENT // 100)
        self.healthy = list(range(endpoints))
        """Who may be chosen."""

    def count(self, now_s: float, endpoint: int, ok: bool) -> None:
        """A request ended."""
        if ok:
            self._good[endpoint] += 1
            self._consecutive[endpoint] = 0
            return
        self._bad[endpoint] += 1
        self._consecutive[endpoint] += 1
        if self._consecutive[endpoint] >= CONSECUTIVE:
            self._consecutive[endpoint] = 0
            self._eject(now_s, endpoint)

    def tick(self, now_s: float) -> None:
        """Every interval: take hosts back, and eject by success rate."""
        if now_s < self._sweep_s:
            return
        self._sweep_s += INTERVAL_S
        for endpoint, until_s in enumerate(self._until_s):
            if until_s > now_s:
                continue
            if endpoint in self.healthy:
                self._times[endpoint] = max(0, self._times[endpoint] - 1)
            else:
                self.healthy.append(endpoint)
        self._compare(now_s)
        self._good = [0] * len(self._good)
        self._bad = [0] * len(self._bad)

    def _compare(self, now_s: float) -> None:
        rates = {
            one: 100.0 * good / (good + bad)
            for one, (good, bad) in enumerate(zip(self._good, self._bad, strict=True))
            if good + bad >= SUCCESS_RATE_REQUESTS
        }
        if len(rates) < SUCCESS_RATE_HOSTS:
            return
        mean = sum(rates.values()) / len(rates)
        deviation = math.sqrt(sum((rate - mean) ** 2 for rate in rates.values()) / len(rates))
        for one, rate in rates.items():
            if rate < mean - STDEV_FACTOR * deviation:
                self._eject(now_s, one)

    def _eject(self, now_s: float, endpoint: int) -> None:
        ejected = len(self._until_s) - len(self.healthy)
        if endpoint not in self.healthy or ejected >= self._allowed:
            return
        self._times[endpoint] += 1
        self._until_s[endpoint] = now_s + min(EJECTION_S_MAX, BASE_EJECTION_S * self._times[endpoint])
        self.healthy.remove(endpoint)
