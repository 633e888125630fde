"""What a coordinator tells Prometheus and its kind about itself, and about agreements while its node leads."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from weftmesh.runtime.metrics.beside import COMMON_METRICS
from weftmesh.runtime.metrics.model import Exposition, Kind, Metric

if TYPE_CHECKING:  # its calendars take a few MiB, which a coordinator that never leads does not need
    from weftmesh.core.ola.status import AgreementStatus

LEADS: Final = Metric("weftmesh_coordinator_leads", Kind.GAUGE, "1 while its node leads the mesh, else 0.")
JOB_RUNS: Final = Metric(
    "weftmesh_coordinator_job_runs", Kind.COUNTER, "Times that a job of learning was carried on.", labels=("result",)
)
JUDGED_TIME: Final = Metric(
    "weftmesh_ola_judged_timestamp_seconds",
    Kind.GAUGE,
    "On the leader: when agreements were last judged, Unix time.",
    "seconds",
)
HEALTH: Final = Metric(
    "weftmesh_ola_objective_health",
    Kind.GAUGE,
    "On the leader: 1 for how it stands with an objective.",
    labels=("agreement", "objective", "health"),
)
BUDGET_LEFT: Final = Metric(
    "weftmesh_ola_budget_left_ratio",
    Kind.GAUGE,
    "On the leader: share of an objective's error budget that is left; below 0 once it is missed.",
    "ratio",
    ("agreement", "objective"),
)
BURN_RATE: Final = Metric(
    "weftmesh_ola_burn_rate",
    Kind.GAUGE,
    "On the leader: how fast the budget is spent over a window; 1 spends it exactly by the end.",
    labels=("agreement", "objective", "window"),
)
COORDINATOR_METRICS: Final = (*COMMON_METRICS, LEADS, JOB_RUNS, JUDGED_TIME, HEALTH, BUDGET_LEFT, BURN_RATE)
"""All that a coordinator exports."""
HOUR_S: Final = 3600


class CoordinatorMeter:
    """What it does, as it is told.

    Attributes:
        leads: whether its node does.
        runs: of jobs, by what came of them.
    """

    def __init__(self) -> None:
        self.leads = False
        self.runs: Counter[str] = Counter(done=0, failed=0)
        self._agreements: dict[str, AgreementStatus] = {}

    def duty(self, *, leads: bool) -> None:
        """The node leads now, or no longer; then what it judged is another one's to tell."""
        self.leads = leads
        self._agreements.clear()

    def judged(self, name: str, status: AgreementStatus) -> None:
        """How it stands with an agreement."""
        self._agreements[name] = status

    def retired(self, name: str) -> None:
        """An agreement is in force no longer."""
        self._agreements.pop(name, None)

    def __call__(self, out: Exposition) -> None:
        """See model.Collector."""
        out.add(LEADS, int(self.leads))
        for result, count in self.runs.items():
            out.add(JOB_RUNS, count, result)
        if self._agreements:
            out.add(JUDGED_TIME, float(max(one.at_s for one in self._agreements.values())))
        for name, status in self._agreements.items():
            for one in status.objectives:
                key = one.objective.key
                out.add(HEALTH, 1, name, key, one.health.name.lower())
                if one.budget.left is not None:
                    out.add(BUDGET_LEFT, float(one.budget.left), name, key)
                for burn in one.burns:
                    if burn.rate is not None:
                        out.add(BURN_RATE, float(burn.rate), name, key, f"{burn.rule.long_s // HOUR_S}h")
