"""Will this endpoint be slower in a few seconds? Learned online, on this node, and believed only while it is right.

A linear model predicts the change of a signal over `HORIZON_S` from its distance to two means of late and from its last
change; recursive least squares with forgetting fits it (S. Haykin, Adaptive Filter Theory, chapter on RLS). Beside its
own squared error it counts that of persistence ("it stays as it is") at the same moments; each error is known only
`HORIZON_S` after the prediction. The model is used while it was better by `MARGIN` over the last minutes and surely not
by chance; else the answer is persistence.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final

from weftmesh.core.routing.feedback import DecayingMean

HORIZON_S: Final = 2.0
FORGETTING: Final = 0.995
"""Of the fit, for each sample."""
ERROR_TAU_S: Final = 120.0
MARGIN: Final = 0.95
"""The model's error has to be below this part of that of persistence."""
CONFIDENCE_Z: Final = 1.64
"""One-sided 95 %: how sure it has to be that the difference is none of chance."""
SAMPLES_MIN: Final = 30.0
PENDING_MAX: Final = 64
CHANGE_MAX: Final = 1.0
"""Of a prediction, in units of the signal: what lies further off is not believed."""
_FEATURES: Final = 4
_PRIOR: Final = (0.0, 0.0, -0.5, 0.0)
"""Of the weights: half way back to the slow mean."""
_PRIOR_VARIANCE: Final = 1.0


class Predictor:
    """For one signal of one endpoint, for instance the logarithm of its working time."""

    __slots__ = (
        "_covariance",
        "_difference",
        "_fast",
        "_model",
        "_pending",
        "_persistence",
        "_slow",
        "_weights",
        "value",
    )

    def __init__(self) -> None:
        self.value = 0.0
        """The latest sample."""
        self._fast = DecayingMean(1.0)
        self._slow = DecayingMean(10.0)
        self._weights = list(_PRIOR)
        self._covariance = [
            [_PRIOR_VARIANCE if row == column else 0.0 for column in range(_FEATURES)] for row in range(_FEATURES)
        ]
        self._pending: deque[tuple[float, float, list[float], float]] = deque(maxlen=PENDING_MAX)
        """(when it is due, value then, features, predicted change), oldest first."""
        self._model = DecayingMean(ERROR_TAU_S)
        self._persistence = DecayingMean(ERROR_TAU_S)
        self._difference = DecayingMean(ERROR_TAU_S)

    @property
    def model_error(self) -> float:
        """Mean squared error of the model of late, whether it was used or not."""
        return self._model.value

    @property
    def persistence_error(self) -> float:
        """Mean squared error of "it stays as it is" at the same moments."""
        return self._persistence.value

    @property
    def trusted(self) -> bool:
        """Whether the model is surely better than persistence of late."""
        count = self._model.weight
        if count < SAMPLES_MIN or self._model.value >= MARGIN * self._persistence.value:
            return False
        gain = self._persistence.value - self._model.value
        spread = self._difference.value - gain * gain
        # Predictions overlap for the length of the horizon, so about two thirds of them say nothing new.
        return gain > CONFIDENCE_Z * math.sqrt(max(0.0, spread) / (count / 3.0))

    def observe(self, now_s: float, value: float) -> float:
        """Take a sample in and return the change that is expected over the horizon; 0 while persistence is as good.

        Args:
            now_s: rises from call to call.
            value: finite.
        """
        while self._pending and self._pending[0][0] <= now_s:
            self._settle(now_s, value, *self._pending.popleft()[1:])
        trend = value - self.value if self._fast.weight else 0.0
        self.value = value
        self._fast.add(now_s, value)
        self._slow.add(now_s, value)
        features = [1.0, value - self._fast.value, value - self._slow.value, trend]
        change = sum(weight * one for weight, one in zip(self._weights, features, strict=True))
        change = max(-CHANGE_MAX, min(CHANGE_MAX, change))
        self._pending.append((now_s + HORIZON_S, value, features, change))
        return change if self.trusted else 0.0

    def _settle(self, now_s: float, value: float, then: float, features: list[float], predicted: float) -> None:
        """The time of a prediction has come: count the errors, then learn."""
        actual = value - then
        model, persistence = (actual - predicted) ** 2, actual * actual
        self._model.add(now_s, model)
        self._persistence.add(now_s, persistence)
        self._difference.add(now_s, (persistence - model) ** 2)
        self._fit(features, actual)

    def _fit(self, features: list[float], actual: float) -> None:
        covariance = self._covariance
        gain = [sum(row[at] * features[at] for at in range(_FEATURES)) for row in covariance]
        scale = FORGETTING + sum(one * other for one, other in zip(gain, features, strict=True))
        gain = [one / scale for one in gain]
        error = actual - sum(weight * one for weight, one in zip(self._weights, features, strict=True))
        self._weights = [weight + one * error for weight, one in zip(self._weights, gain, strict=True)]
        products = [sum(features[row] * covariance[row][at] for row in range(_FEATURES)) for at in range(_FEATURES)]
        for row in range(_FEATURES):
            for at in range(_FEATURES):
                covariance[row][at] = (covariance[row][at] - gain[row] * products[at]) / FORGETTING
        # Without news the covariance would grow without end (wind-up).
        trace = sum(covariance[at][at] for at in range(_FEATURES))
        if trace > _FEATURES * _PRIOR_VARIANCE * 10.0:
            shrink = _FEATURES * _PRIOR_VARIANCE / trace
            self._covariance = [[one * shrink for one in line] for line in covariance]
