"""A node's own tasks as arrays, made by the same functions of the core that serve the forecast."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.forecast.cycle_time import DAY_S, INTERVALS, exposure
from weftmesh.core.forecast.finish_features import FEATURES, BoardTask, TeamHistory
from weftmesh.core.forecast.finish_pace import PaceSettings

Floats = NDArray[np.float64]
HALF_LIFE_S: Final = 365 * DAY_S
"""Longer than a team's pace looks back: what hastens a task changes more slowly than how fast the team is."""


@dataclass(frozen=True, slots=True)
class FinishData:
    """What one node trains on; it never leaves the node.

    Attributes:
        features: as they are, not standardised; shape (tasks, FEATURES).
        at_risk: exposure in each interval, in units of its width; shape (tasks, INTERVALS).
        resolutions: the weight of a task's resolution at the interval it fell into; shape (tasks, INTERVALS).
    """

    features: Floats
    at_risk: Floats
    resolutions: Floats


def finish_data(tasks: Iterable[BoardTask], history: TeamHistory, now_s: float) -> FinishData:
    """The tasks that were created by `now_s`, with what was known of them then.

    Args:
        tasks: the node's own.
        history: of the same tasks.
        now_s: the moment, Unix seconds.

    Raises:
        InvalidInputError: no task was created by then.
    """
    rows = [task for task in tasks if task.times.created_s <= now_s]
    if not rows:
        raise InvalidInputError("there are no tasks to train on: this node sits the round out")
    at_risk = np.zeros((len(rows), INTERVALS))
    resolutions = np.zeros((len(rows), INTERVALS))
    features = np.empty((len(rows), len(FEATURES)))
    for row, task in enumerate(rows):
        shown = exposure(task.times, now_s, HALF_LIFE_S, PaceSettings().open_weight)
        at_risk[row, : len(shown.at_risk)] = shown.at_risk
        if shown.resolved_in is not None:
            resolutions[row, shown.resolved_in] = shown.resolution
        features[row] = history.features(task)
    return FinishData(features, at_risk, resolutions)
