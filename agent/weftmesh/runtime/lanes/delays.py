"""How long jobs waited for their turns and held the loop, by class, over the last minutes."""

from __future__ import annotations

from typing import Final

from weftmesh.core.latency import LatencyWindow
from weftmesh.core.ola.model import ServiceClass
from weftmesh.core.records import record
from weftmesh.core.schedule.events import Run

WINDOW_MS: Final = 300_000


@record(frozen=True, slots=True)
class ClassDelays:
    """One class. Quantiles are of the last five minutes, within 4 %, None without turns; counts of what is late or too
    long are since the beginning.

    Attributes:
        service_class: in which the jobs ran, raised ones one above their own.
        waiting: jobs that wait for a turn now.
        turns: how many there were in the last five minutes.
        wait_p50_us: from being ready to the turn.
        wait_p99_us: the same.
        wait_max_us: the same.
        held_p99_us: how long a turn held the loop, other processes in between included.
        held_max_us: the same.
        late: turns that came after the job's deadline.
        overruns: turns that held the loop for more than a slice by their own doing.
    """

    service_class: ServiceClass
    waiting: int
    turns: int
    wait_p50_us: float | None
    wait_p99_us: float | None
    wait_max_us: float | None
    held_p99_us: float | None
    held_max_us: float | None
    late: int
    overruns: int


class DelayWindow:
    """Counts the turns of one class.

    Args:
        service_class: which.
    """

    def __init__(self, service_class: ServiceClass) -> None:
        self._service_class = service_class
        self._waits = LatencyWindow(WINDOW_MS)
        self._holds = LatencyWindow(WINDOW_MS)
        self._late = 0
        self._overruns = 0

    def given(self, now_s: float, run: Run) -> None:
        """A turn was given."""
        self._waits.add(int(now_s * 1000), int(run.waited_s * 1e6))
        self._late += run.late_s > 0.0

    def ended(self, now_s: float, held_s: float, overran: bool) -> None:
        """A turn is over."""
        self._holds.add(int(now_s * 1000), int(held_s * 1e6))
        self._overruns += overran

    def row(self, now_s: float, waiting: int) -> ClassDelays:
        """What there is to tell."""
        now_ms = int(now_s * 1000)
        wait_us, held_us = self._waits.quantile, self._holds.quantile
        return ClassDelays(
            service_class=self._service_class,
            waiting=waiting,
            turns=self._waits.count(now_ms),
            wait_p50_us=wait_us(now_ms, 0.5),
            wait_p99_us=wait_us(now_ms, 0.99),
            wait_max_us=wait_us(now_ms, 1.0),
            held_p99_us=held_us(now_ms, 0.99),
            held_max_us=held_us(now_ms, 1.0),
            late=self._late,
            overruns=self._overruns,
        )
