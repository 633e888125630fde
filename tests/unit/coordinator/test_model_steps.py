from __future__ import annotations

from array import array

import numpy as np
import pytest

from weftmesh.coordinator.model_steps import EffortStep, FinishStep
from weftmesh.coordinator.strategy import ServerStep
from weftmesh.core.errors import InvalidInputError
from weftmesh.core.forecast import averaging, finish_averaging, finish_bytes, model_bytes
from weftmesh.core.forecast.effort import EffortModel
from weftmesh.core.forecast.features import BUCKETS, DIMENSIONS, SHAPES, FeatureStatistics
from weftmesh.core.forecast.finish_features import FEATURES

STATISTICS = FeatureStatistics(
    10.0, array("f", [1.0] * BUCKETS), array("d", [0.0] * SHAPES), array("d", [1.0] * SHAPES)
)
EFFORT = model_bytes.encode_model(EffortModel.untrained(STATISTICS))
FINISH = finish_bytes.encode_model(finish_averaging.untrained([*[0.5] * 2 * len(FEATURES), 1.0]))


def test_an_effort_model_goes_on_with_its_own_momentum() -> None:
    step: ServerStep = EffortStep()
    assert step.contribution_length(EFFORT) == DIMENSIONS
    mean = np.linspace(-0.01, 0.01, DIMENSIONS, dtype=np.float32)
    twice = step.advanced(step.advanced(EFFORT, mean), mean)
    expected = EffortModel.untrained(STATISTICS)
    for _ in range(2):
        expected = averaging.server_step(expected, mean.tolist())
    assert twice == model_bytes.encode_model(expected)
    assert model_bytes.decode_model(twice).version == 2


def test_a_finish_model_goes_on_by_its_own_step() -> None:
    step: ServerStep = FinishStep()
    length = step.contribution_length(FINISH)
    assert length == finish_averaging.contribution_length(len(FEATURES))
    mean = np.full(length, 0.25, np.float32)
    expected = finish_averaging.server_step(finish_bytes.decode_model(FINISH), mean.tolist())
    assert step.advanced(FINISH, mean) == finish_bytes.encode_model(expected)


@pytest.mark.parametrize("step", [EffortStep(), FinishStep()])
def test_a_model_of_another_kind_is_refused(step: ServerStep) -> None:
    other = FINISH if isinstance(step, EffortStep) else EFFORT
    with pytest.raises(InvalidInputError):
        step.contribution_length(other)


@pytest.mark.parametrize(("step", "model"), [(EffortStep(), EFFORT), (FinishStep(), FINISH)])
def test_a_mean_that_is_not_finite_is_refused(step: ServerStep, model: bytes) -> None:
    with pytest.raises(InvalidInputError):
        step.advanced(model, np.full(step.contribution_length(model), np.nan, np.float32))
