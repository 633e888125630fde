"""Jobs that held the loop for longer than a slice: counted by name, and named in the log without flooding it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from weftmesh.runtime.lanes.pacing import Held
from weftmesh.runtime.telemetry import get_logger

NAMES_MAX: Final = 256
OTHERS: Final = "(others)"
QUIET_S: Final = 1.0
_log = get_logger("weftmesh.lanes")


class Overruns:
    """Counts overruns. A job is named the first time, the second, the fourth and so on; one a second at the most."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._quiet_until_s = 0.0

    def add(self, name: str, held: Held, now_s: float) -> None:
        """A job held the loop for too long."""
        name = name if name in self._counts or len(self._counts) < NAMES_MAX else OTHERS
        self._counts[name] += 1
        times = self._counts[name]
        if times & (times - 1) or now_s < self._quiet_until_s:
            return
        self._quiet_until_s = now_s + QUIET_S
        held_ms, cpu_ms = round(held.wall_s * 1e3, 1), round(held.cpu_s * 1e3, 1)
        why = "it waited without await" if held.blocked else "it computed without a pause"
        _log.warning("job held the loop", job=name, held_ms=held_ms, cpu_ms=cpu_ms, why=why, times=times)

    def counts(self) -> Mapping[str, int]:
        """How often by name; what has no name here any more is counted as others."""
        return dict(self._counts)
