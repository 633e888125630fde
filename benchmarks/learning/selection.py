"""What was chosen, and how: train rows to learn from, validation rows to compare on, no test row read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Final

from benchmarks.learning.dataset import Project
from benchmarks.learning.forecasting import median_error, model_error
from benchmarks.learning.training import FEDERATED, LOCAL, federated, local
from weftmesh.core.forecast.effort import EffortModel
from weftmesh.core.forecast.ordinal import TeamCalibration
from weftmesh.learner.training.evaluation import evaluate

L2_FEDERATED: Final = (3e-4, 1e-3, 3e-3)
L2_LOCAL: Final = (3e-3, 1e-2, 3e-2, 1e-1)
LABELS_NEWEST: Final = (50, 100, 200, 400)


def select(projects: Sequence[Project], say: Callable[[str], None]) -> None:
    """Say the mean over projects of each choice's error relative to the median's."""
    models = {
        l2: federated({one.name: one.train for one in projects}, replace(FEDERATED, l2=l2)) for l2 in L2_FEDERATED
    }
    for l2, model in models.items():
        ratios = [model_error(model, one.train, one.validation) / _of_median(one) for one in projects]
        say(f"federated, l2 {l2:g}: {fmean(ratios):.4f}")
    for newest in LABELS_NEWEST:
        ratios = [_following_error(models[FEDERATED.l2], one, newest) / _of_median(one) for one in projects]
        say(f"federated, thresholds following from the newest {newest} labels: {fmean(ratios):.4f}")
    for l2 in L2_LOCAL:
        alone = [(one, local(one.train, replace(LOCAL, l2=l2))) for one in projects]
        ratios = [model_error(model, one.train, one.validation) / _of_median(one) for one, model in alone]
        say(f"local only, l2 {l2:g}: {fmean(ratios):.4f}")


def _following_error(model: EffortModel, project: Project, newest: int) -> float:
    rows = project.train + project.validation
    found = evaluate(model, rows.texts, rows.efforts, len(project.train.efforts), TeamCalibration(newest))
    return found.model_error / found.forecasts


def _of_median(project: Project) -> float:
    return median_error(project.train, project.validation)
