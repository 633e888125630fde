"""Sparse rows as one matrix (compressed sparse row), with the two products that training needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from weftmesh.core.forecast.features import DIMENSIONS, SparseRow

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CsrMatrix:
    """n rows of `DIMENSIONS` columns.

    Attributes:
        values: of all rows, one behind the other.
        columns: beside `values`.
        rows: beside `values`.
        height: n.
    """

    values: Vector
    columns: NDArray[np.int32]
    rows: NDArray[np.int32]
    height: int

    @classmethod
    def of(cls, rows: Sequence[SparseRow]) -> CsrMatrix:
        """Take over rows as the core made them, bit for bit."""
        lengths = [len(row.indices) for row in rows]
        values = np.concatenate([np.frombuffer(row.values) for row in rows]) if rows else np.empty(0)
        columns = [np.frombuffer(row.indices, dtype=np.int32) for row in rows]
        return cls(
            values,
            np.concatenate(columns) if columns else np.empty(0, np.int32),
            np.repeat(np.arange(len(rows), dtype=np.int32), lengths),
            len(rows),
        )

    def times(self, weights: Vector) -> Vector:
        """Each row's product with `weights`, shape (n,); added in the order of `weftmesh.core.forecast.effort.dot`."""
        return np.bincount(self.rows, self.values * weights[self.columns], self.height).astype(np.float64, copy=False)

    def transposed_times(self, errors: Vector) -> Vector:
        """The rows' sum weighted by `errors` of shape (n,); shape (DIMENSIONS,)."""
        return np.bincount(self.columns, self.values * errors[self.rows], DIMENSIONS).astype(np.float64, copy=False)
