"""A new team with few labels: weights from the 15 other projects, thresholds from its own newest labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.learning.dataset import Project
from benchmarks.learning.forecasting import median_error, model_error
from benchmarks.learning.training import federated, local
from weftmesh.core.errors import PreconditionError

LABELS: Final = (10, 20, 50, 100)


@dataclass(frozen=True, slots=True)
class ColdStart:
    """Mean absolute errors of one project with few labels.

    Attributes:
        labels: how many it has.
        federated: with the others' weights.
        local: with weights and thresholds from its own labels only.
        local_precedents: the same with precedents.
        median: of its own labels only.
        full_median: of its whole history, which it does not have yet.
    """

    project: str
    labels: int
    federated: float
    local: float
    local_precedents: float
    median: float
    full_median: float


def cold_starts(projects: Sequence[Project], say: Callable[[str], None]) -> list[ColdStart]:
    """Leave each project out in turn."""
    found = []
    for newcomer in projects:
        say(f"cold start: {newcomer.name}")
        model = federated({one.name: one.history for one in projects if one is not newcomer})
        for count in LABELS:
            known, asked = newcomer.history.newest(count), newcomer.test
            of_median = median_error(known, asked)
            try:
                alone = local(known)
                of_local = model_error(alone, known, asked, precedents=None)
                of_precedents = model_error(alone, known, asked)
            except PreconditionError:
                # All its labels agree: alone it has only the median.
                of_local = of_precedents = of_median
            full = median_error(newcomer.history, asked)
            of_model = model_error(model, known, asked)
            found.append(ColdStart(newcomer.name, count, of_model, of_local, of_precedents, of_median, full))
    return found
