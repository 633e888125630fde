"""What was chosen, and how: earlier rows to learn from, later ones to compare on, no test row read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Final

from benchmarks.learning.dataset import Project
from benchmarks.learning.forecasting import median_error, model_error
from benchmarks.learning.training import FEDERATED, LOCAL, federated, local
from weftmesh.core.forecast.calibration import TeamCalibration
from weftmesh.core.forecast.effort import EffortModel
from weftmesh.core.forecast.precedents import Weighting
from weftmesh.learner.training.evaluation import evaluate

L2_FEDERATED: Final = (3e-4, 1e-3, 3e-3)
L2_LOCAL: Final = (3e-3, 1e-2, 3e-2, 1e-1)
LABELS_NEWEST: Final = (50, 100, 200, 400)
WEIGHTINGS: Final = (
    None,
    Weighting(50),
    Weighting(100),
    Weighting(200),
    Weighting(400),
    Weighting(100, 100),
    Weighting(100, 300),
)

Say = Callable[[str], None]


def select(projects: Sequence[Project], say: Say) -> None:
    """Say the mean over projects of each choice's error relative to the median's."""
    models = {
        l2: federated({one.name: one.train for one in projects}, replace(FEDERATED, l2=l2)) for l2 in L2_FEDERATED
    }
    _select_weighting(projects, models[FEDERATED.l2], say)
    _select_l2(projects, models, say)
    for newest in LABELS_NEWEST:
        ratios = [_following_error(models[FEDERATED.l2], one, newest) / _of_median(one) for one in projects]
        say(f"federated, following from the newest {newest} labels: {fmean(ratios):.4f}")


def _select_weighting(projects: Sequence[Project], model: EffortModel, say: Say) -> None:
    """On the validation rows, and on the last third of the train rows by a model of the two thirds before."""
    earlier = [one.earlier() for one in projects]
    earlier_model = federated({one.name: one.train for one in earlier})
    for weighting in WEIGHTINGS:
        means = [
            fmean(_ratio(trained, one, weighting) for one in some)
            for trained, some in ((model, projects), (earlier_model, earlier))
        ]
        say(f"federated, {weighting or 'no precedents'}: {means[0]:.4f} and {means[1]:.4f}, mean {fmean(means):.4f}")


def _select_l2(projects: Sequence[Project], models: Mapping[float, EffortModel], say: Say) -> None:
    for l2, model in models.items():
        say(f"federated, no precedents, l2 {l2:g}: {fmean(_ratio(model, one, None) for one in projects):.4f}")
    for l2 in L2_LOCAL:
        alone = [_ratio(local(one.train, replace(LOCAL, l2=l2)), one, None) for one in projects]
        say(f"local only, no precedents, l2 {l2:g}: {fmean(alone):.4f}")


def _ratio(model: EffortModel, project: Project, weighting: Weighting | None) -> float:
    return model_error(model, project.train, project.validation, precedents=weighting) / _of_median(project)


def _following_error(model: EffortModel, project: Project, newest: int) -> float:
    rows = project.train + project.validation
    found = evaluate(model, rows.texts, rows.efforts, len(project.train.efforts), TeamCalibration(newest))
    return found.model_error / found.forecasts


def _of_median(project: Project) -> float:
    return median_error(project.train, project.validation)
