"""What a learner tells Prometheus and its kind about itself, for as long as it runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from weftmesh.runtime.metrics.beside import COMMON_METRICS
from weftmesh.runtime.metrics.model import Collector, Exposition, Kind, Metric

QUESTIONS: Final = Metric(
    "weftmesh_learner_questions", Kind.COUNTER, "Questions of its node, by what came of them.", labels=("result",)
)
LEARNER_METRICS: Final = (*COMMON_METRICS, QUESTIONS)
"""All that a learner exports."""
ANSWERED: Final = "answered"
LATE: Final = "late"
REFUSED: Final = "refused"
FAILED: Final = "failed"


def new_outcomes() -> Counter[str]:
    """Counts of what came of questions, all 0."""
    return Counter(dict.fromkeys((ANSWERED, LATE, REFUSED, FAILED), 0))


def told(outcomes: Mapping[str, int]) -> Collector:
    """Tells them."""

    def collect(out: Exposition) -> None:
        for result, count in outcomes.items():
            out.add(QUESTIONS, count, result)

    return collect
