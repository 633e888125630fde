"""From a text to a sparse row: signed hashing of words and word pairs, weighted by counts that many nodes added up.

Feature hashing with signs: Weinberger et al., "Feature hashing for large scale multitask learning", ICML 2009. A node
needs no vocabulary of the others, so no word ever leaves it.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple
from zlib import crc32

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.forecast.text import SHAPE_NAMES, TaskText, shape, words

BUCKET_BITS: Final = 14
BUCKETS: Final = 1 << BUCKET_BITS
SHAPES: Final = len(SHAPE_NAMES)
DIMENSIONS: Final = BUCKETS + SHAPES
"""A row's columns: the buckets, then the shape features."""

_BUCKET_MASK: Final = BUCKETS - 1
_SIGN_BIT: Final = 1 << 31
_SHAPE_WEIGHT: Final = 0.15
"""The words of a row have norm 1; at this weight the shapes together count for about half as much."""
_DEVIATIONS_MAX: Final = 4.0
"""A stranger text than this says no more: one pasted log must not drown the words."""
_DEVIATION_MIN: Final = 1e-6
COUNTS_LENGTH: Final = 1 + BUCKETS + 2 * SHAPES
"""Of the vector form of `DocumentCounts`."""


class SparseRow(NamedTuple):
    """One text in `DIMENSIONS` columns; `indices` rise, `values` are beside them, all others are 0."""

    indices: array[int]
    values: array[float]


@dataclass(frozen=True, slots=True)
class RawFeatures:
    """What a text alone gives, before any node's counts weight it.

    Attributes:
        buckets: rising.
        counts: the signed number of terms in each bucket, never 0.
        shape: one value for each of `SHAPE_NAMES`.
    """

    buckets: array[int]
    counts: array[int]
    shape: tuple[float, ...]


def hashed(term: str) -> tuple[int, int]:
    """Bucket and sign (+1 or -1) of a term: the low 14 bits and the highest bit of its UTF-8's CRC-32 (ISO 3309).

    CRC-32 is the same on every machine and version, and the standard library's quickest on short words. It does not
    resist somebody who picks words that collide; what one node can do to the weights is bounded by its update's length.
    """
    digest = crc32(term.encode())
    return digest & _BUCKET_MASK, -1 if digest & _SIGN_BIT else 1


def terms(text: TaskText) -> Counter[str]:
    """The words and the pairs of neighbouring words of a text, with how often each occurs."""
    found = words(text)
    counts = Counter(found)
    counts.update([f"{first} {second}" for first, second in pairwise(found)])
    return counts


def raw_features(text: TaskText) -> RawFeatures:
    """Hash a text. Terms of opposite sign in one bucket cancel, as signed hashing intends."""
    by_bucket: dict[int, int] = {}
    for term, count in terms(text).items():
        # `hashed`, written out: a call for each of some 400 terms is a sixth of the time of a text.
        digest = crc32(term.encode())
        bucket = digest & _BUCKET_MASK
        by_bucket[bucket] = by_bucket.get(bucket, 0) + (-count if digest & _SIGN_BIT else count)
    buckets = sorted(bucket for bucket, count in by_bucket.items() if count)
    return RawFeatures(array("i", buckets), array("i", [by_bucket[one] for one in buckets]), shape(text))


@dataclass(frozen=True, slots=True)
class DocumentCounts:
    """What weighting needs to know of all nodes' texts: numbers that only have to be added up.

    As a vector they can go through secure aggregation, so that nobody sees one node's counts.

    Attributes:
        documents: number of texts.
        by_bucket: in how many of them each bucket is filled; `BUCKETS` long.
        shape_sums: sum of each shape feature; `SHAPES` long.
        shape_squares: sum of its squares; `SHAPES` long.
    """

    documents: float
    by_bucket: array[float]
    shape_sums: array[float]
    shape_squares: array[float]

    @classmethod
    def of(cls, rows: Iterable[RawFeatures]) -> DocumentCounts:
        """Count a node's own texts."""
        documents = 0
        by_bucket, sums, squares = (array("d", bytes(8 * length)) for length in (BUCKETS, SHAPES, SHAPES))
        for row in rows:
            documents += 1
            for bucket in row.buckets:
                by_bucket[bucket] += 1
            for place, value in enumerate(row.shape):
                sums[place] += value
                squares[place] += value * value
        return cls(documents, by_bucket, sums, squares)

    def __add__(self, other: DocumentCounts) -> DocumentCounts:
        pairs = zip(self.to_vector(), other.to_vector(), strict=True)
        return DocumentCounts.from_vector(array("d", [one + two for one, two in pairs]))

    def to_vector(self) -> array[float]:
        """`COUNTS_LENGTH` numbers: documents, buckets, sums, squares. Vectors of several nodes may be added."""
        return array("d", [self.documents]) + self.by_bucket + self.shape_sums + self.shape_squares

    @classmethod
    def from_vector(cls, vector: Sequence[float]) -> DocumentCounts:
        """Read a sum of `to_vector`. Noise may have made a small count negative.

        Raises:
            InvalidInputError: another length, or a number that is not finite.
        """
        if len(vector) != COUNTS_LENGTH:
            raise InvalidInputError(f"document counts: {len(vector)} numbers instead of {COUNTS_LENGTH}")
        numbers = array("d", vector)
        if not all(map(math.isfinite, numbers)):
            raise InvalidInputError("document counts: contain a number that is not finite")
        shapes = numbers[1 + BUCKETS :]
        return cls(numbers[0], numbers[1 : 1 + BUCKETS], shapes[:SHAPES], shapes[SHAPES:])

    def statistics(self) -> FeatureStatistics:
        """The weights that follow: idf = ln((1 + N) / (1 + n)) + 1, and each shape's mean and deviation.

        A count below 0, or above the number of texts, counts as the bound: noise made it so.
        """
        total = max(self.documents, 1.0)
        counts = [min(max(count, 0.0), total) for count in self.by_bucket]
        idf = array("f", [math.log((1 + total) / (1 + count)) + 1 for count in counts])
        means = array("d", [value / total for value in self.shape_sums])
        variances = [square / total - mean * mean for square, mean in zip(self.shape_squares, means, strict=True)]
        return FeatureStatistics(
            max(self.documents, 0.0), idf, means, array("d", [math.sqrt(max(one, 0.0)) for one in variances])
        )


@dataclass(frozen=True, slots=True)
class FeatureStatistics:
    """How raw features are weighted; part of a model, so that all nodes weight alike.

    Attributes:
        documents: how many texts they come from.
        idf: inverse document frequency of each bucket; `BUCKETS` long, single precision.
        shape_means: `SHAPES` long.
        shape_deviations: standard deviations, `SHAPES` long.
    """

    documents: float
    idf: array[float]
    shape_means: array[float]
    shape_deviations: array[float]

    def weigh(self, raw: RawFeatures) -> SparseRow:
        """The row of a text: sublinear term frequency times idf at norm 1, then standardised shape features."""
        idf = self.idf
        values = [
            (count if -2 < count < 2 else math.copysign(1.0 + math.log(abs(count)), count)) * idf[bucket]
            for bucket, count in zip(raw.buckets, raw.counts, strict=True)
        ]
        norm = math.sqrt(math.fsum([value * value for value in values])) or 1.0
        row = array("d", [value / norm for value in values])
        row.extend(self._standardised(raw.shape))
        return SparseRow(raw.buckets + _SHAPE_COLUMNS, row)

    def _standardised(self, values: tuple[float, ...]) -> list[float]:
        rows = zip(values, self.shape_means, self.shape_deviations, strict=True)
        # A feature that is the same everywhere tells nothing; dividing by its deviation would make noise of it.
        return [
            _SHAPE_WEIGHT * min(max((value - mean) / deviation, -_DEVIATIONS_MAX), _DEVIATIONS_MAX)
            if deviation > _DEVIATION_MIN
            else 0.0
            for value, mean, deviation in rows
        ]


_SHAPE_COLUMNS: Final = array("i", range(BUCKETS, DIMENSIONS))
