"""Measures all the time how long a commit takes to reach this node's watchers, and holds it against the promise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from weftmesh.core.latency import LatencyWindow
from weftmesh.runtime.clock import wall_ms, wall_us
from weftmesh.runtime.metrics.histogram import Histogram

PROMISE_MS: Final = 5.0
"""The 99th percentile on a LAN stays below this."""
WINDOW_MS: Final = 5 * 60 * 1000
IMPLAUSIBLE_US: Final = 60_000_000
"""A difference beyond a minute is a clock that was set, or a node that caught up: no latency."""


@dataclass(frozen=True, slots=True)
class SyncLatency:
    """The last minutes' latency from commit on the leader to hand-over here."""

    samples: int
    p50_ms: float
    p99_ms: float

    @property
    def promise_kept(self) -> bool:
        """Whether the promise held; vacuously true without samples."""
        return not self.samples or self.p99_ms < PROMISE_MS


class SyncMeter:
    """A window of latencies from the leader's commit to the hand-over to watchers.

    Both ends are wall clocks: between machines the figure includes their clocks' difference.

    Attributes:
        times: the same since the start, in seconds.
    """

    def __init__(self) -> None:
        self._window = LatencyWindow(window_ms=WINDOW_MS)
        self.times = Histogram()

    def handed_over(self, commit_time_us: int) -> None:
        """Events of a commit at `commit_time_us` (0: unknown, not counted) are now with the watchers."""
        if not commit_time_us:
            return
        elapsed_us = wall_us() - commit_time_us
        if elapsed_us < IMPLAUSIBLE_US:
            self._window.add(wall_ms(), max(0, elapsed_us))
            self.times.observe(max(0, elapsed_us) / 1e6)

    def latency(self) -> SyncLatency:
        """What was measured in the last minutes."""
        now_ms = wall_ms()
        return SyncLatency(
            samples=self._window.count(now_ms),
            p50_ms=(self._window.quantile(now_ms, 0.50) or 0) / 1000,
            p99_ms=(self._window.quantile(now_ms, 0.99) or 0) / 1000,
        )
