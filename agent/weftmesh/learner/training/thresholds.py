"""`weftmesh.core.forecast.ordinal.fit_threshold` for all thresholds of a team at once."""

from __future__ import annotations

from typing import Final

import numpy as np

from weftmesh.learner.training.csr import Vector

_NEWTON_STEPS_MAX: Final = 60
_SHARE_ERROR_MAX: Final = 1e-12


def fit_thresholds(scores: Vector, shares: Vector) -> Vector:
    """The thresholds t with mean(logistic(score - t)) = share, by Newton's method kept within a bracket.

    Args:
        scores: shape (n,), n at least 1.
        shares: shape (K,), each above 0 and below 1.

    Returns:
        Shape (K,).
    """
    odds = np.log(shares / (1 - shares))
    low, high = scores.min() - odds, scores.max() - odds
    thresholds: Vector = scores.mean() - odds
    for _ in range(_NEWTON_STEPS_MAX):
        chances = logistic(scores[:, None] - thresholds)
        excess = chances.mean(axis=0) - shares
        if np.abs(excess).max(initial=0.0) <= _SHARE_ERROR_MAX:
            break
        low, high = np.where(excess > 0, thresholds, low), np.where(excess > 0, high, thresholds)
        slope = np.maximum((chances * (1 - chances)).mean(axis=0), np.finfo(np.float64).tiny)
        newton = thresholds + excess / slope
        thresholds = np.where((low <= newton) & (newton <= high), newton, (low + high) / 2)
    return thresholds


def logistic(values: Vector) -> Vector:
    """1 / (1 + exp(-value)) of each, by a form that does not overflow."""
    chances: Vector = 0.5 + 0.5 * np.tanh(0.5 * values)
    return chances
