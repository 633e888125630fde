"""Each project's test rows, forecast in every way that is compared."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from time import process_time
from typing import Final

from benchmarks.learning import linear_svr
from benchmarks.learning.dataset import Project
from benchmarks.learning.forecasting import (
    history_of,
    mean_absolute_error,
    median_error,
    model_error,
    model_forecasts,
    share_within,
)
from benchmarks.learning.published import deep_se
from benchmarks.learning.training import centralised, federated, local
from weftmesh.core.forecast.calibration import TeamCalibration
from weftmesh.core.forecast.effort import EffortModel
from weftmesh.learner.training.evaluation import Evaluation, evaluate

METHODS: Final = ("median", "local", "local_precedents", "linear_svr", "federated", "centralised", "deep_se")
TITLES: Final = {
    "median": "median",
    "local": "local ordinal",
    "local_precedents": "local with precedents",
    "linear_svr": "local LinearSVR",
    "federated": "federated",
    "centralised": "centralised",
    "deep_se": "Deep-SE raw",
}


@dataclass(frozen=True, slots=True)
class Compared:
    """One project.

    Attributes:
        errors: mean absolute error of each of `METHODS` on the test rows, in story points.
        covered: share of test rows no larger than the federated P85 and P95.
        following: the federated model as it is served: thresholds follow every ten labels.
    """

    project: str
    test_rows: int
    errors: dict[str, float]
    covered: tuple[float, float]
    following: Evaluation


@dataclass(frozen=True, slots=True)
class Comparison:
    """All projects, and what the federated training took.

    Attributes:
        training_s: processor time of 60 rounds of all 16 nodes.
        cosine: between the federated weights and the centralised ones.
        last_step: length of the centralised training's last step over that of its weights.
        in_process: mean error over the projects of the weights that were trained in one process.
    """

    projects: list[Compared]
    training_s: float
    cosine: float
    last_step: float
    in_process: float

    def errors(self, method: str) -> list[float]:
        """Of one of `METHODS`, project by project."""
        return [one.errors[method] for one in self.projects]


def compare(
    projects: Sequence[Project], say: Callable[[str], None], over_mesh: EffortModel | None = None
) -> Comparison:
    """Train in every way on the history, forecast the test rows.

    Args:
        projects: all of them.
        say: for progress.
        over_mesh: a model that was trained over processes; it then is the federated one.
    """
    history = {one.name: one.history for one in projects}
    say("training: federated, 60 rounds")
    started = process_time()
    by_federation = federated(history)
    training_s = process_time() - started
    in_process = [model_error(by_federation, one.history, one.test) for one in projects]
    by_federation = over_mesh or by_federation
    say("training: centralised, to the optimum")
    by_pooling = centralised(history)
    found = []
    for project in projects:
        say(f"training: {project.name} alone")
        found.append(_compared(project, by_federation, by_pooling))
    cosine = _product(by_federation.weights, by_pooling.weights) / (
        _norm(by_federation.weights) * _norm(by_pooling.weights)
    )
    return Comparison(
        found, training_s, cosine, _norm(by_pooling.velocity) / _norm(by_pooling.weights), fmean(in_process)
    )


def _product(one: Sequence[float], other: Sequence[float]) -> float:
    return math.fsum(left * right for left, right in zip(one, other, strict=True))


def _norm(vector: Sequence[float]) -> float:
    return math.sqrt(_product(vector, vector))


def _compared(project: Project, by_federation: EffortModel, by_pooling: EffortModel) -> Compared:
    known, asked = project.history, project.test
    alone = local(known)
    history = history_of(by_federation, known)
    forecasts = model_forecasts(by_federation, history, asked, 0.5, 0.85, 0.95)
    p50, p85, p95 = (list(column) for column in zip(*forecasts, strict=True))
    errors = {
        "median": median_error(known, asked),
        "local": model_error(alone, known, asked, precedents=None),
        "local_precedents": model_error(alone, known, asked),
        "linear_svr": linear_svr.recorded()[project.name],
        "federated": mean_absolute_error(p50, asked.efforts),
        "centralised": model_error(by_pooling, known, asked),
        "deep_se": deep_se()[project.name],
    }
    rows = known + asked
    following = evaluate(by_federation, rows.texts, rows.efforts, len(known.efforts), TeamCalibration())
    covered = (share_within(p85, asked.efforts), share_within(p95, asked.efforts))
    return Compared(project.name, len(asked.efforts), errors, covered, following)
