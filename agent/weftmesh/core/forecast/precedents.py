"""A team's own earlier tasks as precedents: where like tasks came out larger than their texts said, the next one may.

Shared weights tell what words mean in all teams, and a team's thresholds where its levels lie in its whole history.
What both leave over is looked up here: each labelled task counts by how new it is and by how like the task that is
asked, and each threshold makes one Newton step on the likelihood that is weighted so (Tibshirani and Hastie, "Local
likelihood estimation", JASA 82, 1987), held back by a prior. Precedents are a team's own and stay on its node.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from operator import mul
from typing import Final

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.forecast.features import BUCKETS, SHAPES, SparseRow
from weftmesh.core.forecast.ordinal import TeamScale, fit_scale, logistic, middles

SHIFT_MAX: Final = 3.0
"""No threshold moves further, in log-odds; it bounds what a few copies of one odd task can do."""


@dataclass(frozen=True, slots=True)
class Weighting:
    """How much a precedent counts; chosen on validation rows (docs/forecasts.md).

    Attributes:
        half_life_labels: after this many newer labels it counts half.
        likeness: one with the same words counts this much more than one that shares none; between them by the squared
            cosine.
        prior: what speaks for the thresholds as they are, in the unit of p * (1 - p) of labels that count once.
    """

    half_life_labels: float = 100.0
    likeness: float = 1_000.0
    prior: float = 5.0


WEIGHTING: Final = Weighting()


@dataclass(frozen=True, slots=True)
class Column:
    """What the n labelled tasks say about one of a team's thresholds, each weighted by its age.

    Attributes:
        surprises: whether the task lies above it (1 or 0), less the chance that its score gave that.
        doubts: that chance times its complement.
        surprise: sum of `surprises`.
        doubt: sum of `doubts`.
    """

    surprises: array[float]
    doubts: array[float]
    surprise: float
    doubt: float


@dataclass(frozen=True, slots=True)
class WordIndex:
    """Which of n tasks have which words: their rows, turned by 90 degrees.

    Attributes:
        starts: where each bucket's entries begin; `BUCKETS` + 1 long.
        places: which task each entry is of.
        values: the task's value in that bucket, single precision.
        tasks: n.
    """

    starts: array[int]
    places: array[int]
    values: array[float]
    tasks: int

    @classmethod
    def of(cls, rows: Sequence[SparseRow]) -> WordIndex:
        """Index the words of rows; their shape features are left out."""
        filled = [0] * BUCKETS
        for row in rows:
            for bucket in row.indices[:-SHAPES]:
                filled[bucket] += 1
        starts = array("i", accumulate(filled, initial=0))
        ends = list(starts)
        places, values = array("i", [0]) * starts[-1], array("f", [0.0]) * starts[-1]
        # Each entry to its place, one by one: a sort of all is one call, which other threads would wait for.
        for place, row in enumerate(rows):
            for bucket, value in zip(row.indices[:-SHAPES], row.values, strict=False):
                at = ends[bucket]
                places[at], values[at] = place, value
                ends[bucket] = at + 1
        return cls(starts, places, values, len(rows))

    def cosines(self, row: SparseRow) -> list[float]:
        """The cosine between the words of `row` and those of each task."""
        found = [0.0] * self.tasks
        starts, places, values = self.starts, self.places, self.values
        for bucket, value in zip(row.indices[:-SHAPES], row.values, strict=False):
            first, last = starts[bucket], starts[bucket + 1]
            for place, other in zip(places[first:last], values[first:last], strict=True):
                found[place] += value * other
        return found


@dataclass(frozen=True, slots=True)
class Precedents:
    """A team's labelled tasks, beside what their scores had said.

    Attributes:
        index: of their words.
        columns: one for each threshold of the team's scale.
        weighting: that `columns` were made with.
    """

    index: WordIndex
    columns: tuple[Column, ...]
    weighting: Weighting

    def shifts(self, row: SparseRow) -> list[float]:
        """How far each threshold moves down for a task, in log-odds; at most `SHIFT_MAX` either way."""
        # A negative cosine comes from words that collide; it is no likeness.
        factor, prior = self.weighting.likeness, self.weighting.prior
        likeness = [factor * cosine * cosine if cosine > 0 else 0.0 for cosine in self.index.cosines(row)]
        return [_shift(column, likeness, prior) for column in self.columns]


@dataclass(frozen=True, slots=True)
class TeamHistory:
    """What a node forecasts a team's tasks from; it never leaves the node.

    Attributes:
        scale: where the team's levels lie.
        precedents: None when the scale has no thresholds to move.
    """

    scale: TeamScale
    precedents: Precedents | None

    def scale_for(self, row: SparseRow) -> TeamScale:
        """The scale with its thresholds where this task's precedents move them.

        They stay in order: moved past one another, they change places (rearrangement: Chernozhukov et al.,
        Econometrica 2010).
        """
        if self.precedents is None:
            return self.scale
        moved = zip(self.scale.thresholds, self.precedents.shifts(row), strict=True)
        return replace(self.scale, thresholds=tuple(sorted(threshold - shift for threshold, shift in moved)))

    def middle(self, row: SparseRow, score: float) -> float:
        """P50 of a task; the median where there are no thresholds."""
        return self.scale_for(row).quantile(score, 0.5) if self.scale.thresholds else self.scale.median


def fit_history(
    rows: Sequence[SparseRow], scores: Sequence[float], efforts: Sequence[float], weighting: Weighting = WEIGHTING
) -> TeamHistory:
    """Fit a team's scale and what its tasks say beyond it.

    Args:
        rows: of the labelled texts, oldest first.
        scores: of `rows`, all from one model version.
        efforts: their labels, in the team's own unit.
        weighting: of the precedents.

    Raises:
        InvalidInputError: no labels, or another number of rows or scores than of labels.
    """
    if len(rows) != len(efforts):
        raise InvalidInputError(f"a team's history needs as many texts as labels: {len(rows)}, {len(efforts)}")
    scale = fit_scale(scores, efforts)
    if not scale.thresholds:
        return TeamHistory(scale, None)
    ages = [0.5 ** (age / weighting.half_life_labels) for age in range(len(efforts) - 1, -1, -1)]
    columns = tuple(
        _column(scores, [effort > middle for effort in efforts], threshold, ages)
        for middle, threshold in zip(middles(scale.levels), scale.thresholds, strict=True)
    )
    return TeamHistory(scale, Precedents(WordIndex.of(rows), columns, weighting))


def _column(scores: Sequence[float], above: Sequence[bool], threshold: float, ages: Sequence[float]) -> Column:
    chances = [logistic(score - threshold) for score in scores]
    surprises = array("d", [age * (one - chance) for age, one, chance in zip(ages, above, chances, strict=True)])
    doubts = array("d", [age * chance * (1 - chance) for age, chance in zip(ages, chances, strict=True)])
    return Column(surprises, doubts, math.fsum(surprises), math.fsum(doubts))


def _shift(column: Column, likeness: Sequence[float], prior: float) -> float:
    # fsum, since sum rounds differently from Python 3.12 on.
    surprise = column.surprise + math.fsum(map(mul, likeness, column.surprises))
    doubt = column.doubt + math.fsum(map(mul, likeness, column.doubts))
    return min(max(surprise / (doubt + prior), -SHIFT_MAX), SHIFT_MAX)
