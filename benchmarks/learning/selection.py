"""What was chosen, and how: train rows to learn from, validation rows to compare on, no test row read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Final

from benchmarks.learning.dataset import Project
from benchmarks.learning.forecasting import median_error, model_error
from benchmarks.learning.training import FEDERATED, LOCAL, federated, local
from weftmesh.core.forecast.ordinal import TeamCalibration
from weftmesh.learner.training.evaluation import evaluate

L2_FEDERATED: Final = (3e-4, 1e-3, 3e-3)
L2_LOCAL: Final = (3e-3, 1e-2, 3e-2, 1e-1)
LABELS_NEWEST: Final = (50, 100, 200, 400, 1_000_000)


def select(projects: Sequence[Project], say: Callable[[str], None]) -> None:
    """Say the mean over projects of each choice's error relative to the median's."""
    for l2 in L2_FEDERATED:
        model = federated({one.name: one.train for one in projects}, replace(FEDERATED, l2=l2))
        ratios = [model_error(model, one.train, one.validation) / _of_median(one) for one in projects]
        say(f"federated, l2 {l2:g}: {fmean(ratios):.4f}")
    for l2 in L2_LOCAL:
        settings = replace(LOCAL, l2=l2)
        ratios = [
            model_error(local(one.train, settings), one.train, one.validation) / _of_median(one) for one in projects
        ]
        say(f"local only, l2 {l2:g}: {fmean(ratios):.4f}")
    model = federated({one.name: one.train for one in projects})
    for newest in LABELS_NEWEST:
        ratios = []
        for one in projects:
            rows = one.train + one.validation
            known = len(one.train.efforts)
            found = evaluate(model, rows.texts, rows.efforts, known, TeamCalibration(newest))
            ratios.append(found.model_error / found.forecasts / _of_median(one))
        say(f"thresholds follow, from the newest {newest} labels: {fmean(ratios):.4f}")


def _of_median(project: Project) -> float:
    return median_error(project.train, project.validation)
