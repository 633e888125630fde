"""The replicated machines beside the board: rounds of learning, and agreements."""

from __future__ import annotations

from typing import Final

from weftmesh.agent.board.homes import Home
from weftmesh.core.learning.model import RoundStage
from weftmesh.runtime.metrics.model import Exposition, Kind, Metric

JOBS: Final = Metric(
    "weftmesh_learning_jobs", Kind.GAUGE, "Jobs of learning, by whether they are enabled.", labels=("state",)
)
ROUNDS: Final = Metric(
    "weftmesh_learning_kept_rounds",
    Kind.GAUGE,
    "Rounds that are remembered, at most 64 a job and the one under way, by how they stand.",
    labels=("stage",),
)
ACTIVE_VERSION: Final = Metric(
    "weftmesh_learning_active_version",
    Kind.GAUGE,
    "The version that forecasts are made with; 0 for none.",
    labels=("learning_job",),
)
BUDGET_SPENT: Final = Metric(
    "weftmesh_learning_privacy_budget_spent_ratio",
    Kind.GAUGE,
    "Share of a job's privacy budget that is spent; of jobs that have one.",
    "ratio",
    ("learning_job",),
)
AGREEMENTS: Final = Metric("weftmesh_ola_agreements", Kind.GAUGE, "Agreements in force.")
OPEN_BREACHES: Final = Metric("weftmesh_ola_open_breaches", Kind.GAUGE, "Breaches of agreements that go on.")
WINDOW_TIME: Final = Metric(
    "weftmesh_ola_newest_window_timestamp_seconds",
    Kind.GAUGE,
    "When the newest window of five minutes that any node recorded began, Unix time.",
    "seconds",
)
MACHINE_METRICS: Final = (JOBS, ROUNDS, ACTIVE_VERSION, BUDGET_SPENT, AGREEMENTS, OPEN_BREACHES, WINDOW_TIME)


class MachineCollector:
    """Reads this node's replica."""

    def __init__(self, mesh: Home) -> None:
        self._mesh = mesh

    def __call__(self, out: Exposition) -> None:
        """See model.Collector."""
        self._learning(out)
        read = self._mesh.machine.agreements.read
        out.add(AGREEMENTS, sum(not one.retired for one in read.standings()))
        out.add(OPEN_BREACHES, sum(not one.ended_s for one in read.breaches("")))
        if read.newest_s:
            out.add(WINDOW_TIME, float(read.newest_s))

    def _learning(self, out: Exposition) -> None:
        learning = self._mesh.machine.learning
        jobs = learning.jobs()
        out.add(JOBS, sum(one.enabled for one in jobs), "enabled")
        out.add(JOBS, sum(not one.enabled for one in jobs), "disabled")
        stages = dict.fromkeys(RoundStage, 0)
        for job in jobs:
            for one in learning.rounds(job.name):
                stages[one.stage] += 1
            out.add(ACTIVE_VERSION, job.active_version, job.name)
            if job.noise is not None and job.noise.budget_nano_rho:
                out.add(BUDGET_SPENT, job.spent_nano_rho / job.noise.budget_nano_rho, job.name)
        for stage, count in stages.items():
            out.add(ROUNDS, count, stage.name.lower())
