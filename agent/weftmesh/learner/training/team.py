"""One team's labelled texts as training sees them: the loss of the shared weights and its gradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from weftmesh.core.errors import PreconditionError
from weftmesh.core.forecast.features import FeatureStatistics, RawFeatures
from weftmesh.core.forecast.ordinal import (
    LABELS_MIN,
    check_effort,
    gap_weights,
    levels_of,
    middles,
    share_above,
)
from weftmesh.learner.training.csr import CsrMatrix, Vector
from weftmesh.learner.training.thresholds import fit_thresholds, logistic


@dataclass(frozen=True, slots=True)
class TeamData:
    """n labelled texts of a team with K + 1 levels.

    Attributes:
        matrix: the texts, n rows.
        exceeds: whether each label lies above each threshold, as 0 and 1, shape (n, K).
        gaps: what it costs to miss each threshold, shape (K,).
        shares: the share of labels above each threshold, shape (K,).
    """

    matrix: CsrMatrix
    exceeds: Vector
    gaps: Vector
    shares: Vector

    @classmethod
    def of(cls, texts: Sequence[RawFeatures], efforts: Sequence[float], statistics: FeatureStatistics) -> TeamData:
        """Prepare a team's labels.

        Raises:
            InvalidInputError: an effort is negative or not finite.
            PreconditionError: fewer than `LABELS_MIN` labels, or all the same: there is nothing to learn.
        """
        for effort in efforts:
            check_effort(effort)
        levels = levels_of(efforts)
        if len(efforts) < LABELS_MIN or len(levels) < 2:
            raise PreconditionError(
                f"effort training: {len(efforts)} labels on {len(levels)} levels; it takes {LABELS_MIN} labels on 2",
                reason="NOTHING_TO_LEARN",
            )
        between = middles(levels)
        exceeds = np.asarray(efforts)[:, None] > np.asarray(between)
        return cls(
            CsrMatrix.of([statistics.weigh(text) for text in texts]),
            exceeds.astype(np.float64),
            np.asarray(gap_weights(levels, efforts)),
            np.asarray([share_above(efforts, middle) for middle in between]),
        )

    @property
    def labels(self) -> int:
        """How many there are."""
        return self.matrix.height

    @property
    def weight(self) -> float:
        """How much the team counts in a mean: the root of its labels, lest a large team drown the others."""
        return float(np.sqrt(self.labels))

    def thresholds(self, weights: Vector) -> Vector:
        """The thresholds that fit the scores under `weights`, shape (K,)."""
        return fit_thresholds(self.matrix.times(weights), self.shares)

    def loss(self, weights: Vector, thresholds: Vector) -> float:
        """The gap-weighted logistic loss, averaged over the labels."""
        margins = self.matrix.times(weights)[:, None] - thresholds
        losses = np.logaddexp(0.0, margins) - self.exceeds * margins
        return float((losses @ self.gaps).mean())

    def gradient(self, weights: Vector, thresholds: Vector) -> Vector:
        """Of `loss` after the weights, shape (DIMENSIONS,)."""
        chances: NDArray[np.float64] = logistic(self.matrix.times(weights)[:, None] - thresholds)
        return self.matrix.transposed_times((chances - self.exceeds) @ self.gaps / self.labels)
