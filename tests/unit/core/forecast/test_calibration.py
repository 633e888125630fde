"""A team's history that grows label by label."""

from __future__ import annotations

import math

import pytest

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.forecast.calibration import TeamCalibration
from weftmesh.core.forecast.features import DocumentCounts, raw_features
from weftmesh.core.forecast.text import TaskText

RAW = raw_features(TaskText("restart node"))
ROW = DocumentCounts.of([RAW]).statistics().weigh(RAW)


@pytest.mark.parametrize("effort", [-1.0, math.nan, math.inf])
def test_what_is_no_effort_is_refused(effort: float) -> None:
    calibration = TeamCalibration()
    with pytest.raises(InvalidInputError, match="estimate"):
        calibration.add(ROW, 0.0, effort)
    assert calibration.history is None


def test_a_young_team_learns_from_each_label_then_from_every_tenth() -> None:
    calibration = TeamCalibration()
    seen = []
    for number in range(1, 41):
        calibration.add(ROW, 0.0, float(number % 3))
        history = calibration.history
        assert history is not None
        seen.append(history.scale.labels)
    assert seen == [*range(1, 11), *[10] * 9, *[20] * 10, *[30] * 10, 40]


def test_labels_older_than_the_newest_are_forgotten() -> None:
    calibration = TeamCalibration(newest=20)
    for effort in [1.0] * 50 + [5.0] * 20:
        calibration.add(ROW, 0.0, effort)
    history = calibration.history
    assert history is not None
    assert (history.scale.median, history.scale.labels) == (5.0, 20)
