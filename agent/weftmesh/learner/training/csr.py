"""Sparse rows as one matrix (compressed sparse row), with the two products that training needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from weftmesh.core.forecast.features import DIMENSIONS, SparseRow

Vector = NDArray[np.float64]
Places = NDArray[np.intp]
"""numpy copies index arrays of any other type at each use: a third of the time of a product."""


@dataclass(frozen=True, slots=True)
class CsrMatrix:
    """n rows of `DIMENSIONS` columns, none of them empty.

    Attributes:
        values: of all rows, one behind the other.
        columns: beside `values`.
        starts: where each row begins, shape (n,).
        lengths: of each row, shape (n,).
    """

    values: Vector
    columns: Places
    starts: Places
    lengths: Places

    @classmethod
    def of(cls, rows: Sequence[SparseRow]) -> CsrMatrix:
        """Take over rows as the core made them, bit for bit; each has at least its shape features."""
        lengths = np.array([len(row.indices) for row in rows], np.intp)
        values = [np.empty(0), *(np.frombuffer(row.values) for row in rows)]
        columns = [np.empty(0, np.int32), *(np.frombuffer(row.indices, np.int32) for row in rows)]
        return cls(
            np.concatenate(values), np.concatenate(columns).astype(np.intp), np.cumsum(lengths) - lengths, lengths
        )

    @property
    def height(self) -> int:
        """The number of rows."""
        return len(self.lengths)

    def times(self, weights: Vector) -> Vector:
        """Each row's product with `weights`, shape (n,)."""
        products: Vector = np.add.reduceat(self.values * weights[self.columns], self.starts)
        return products

    def transposed_times(self, errors: Vector) -> Vector:
        """The rows' sum weighted by `errors` of shape (n,); shape (DIMENSIONS,)."""
        weighted = self.values * np.repeat(errors, self.lengths)
        return np.bincount(self.columns, weighted, DIMENSIONS).astype(np.float64, copy=False)
