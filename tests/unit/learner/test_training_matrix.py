"""The core's rows as numpy sees them."""

from __future__ import annotations

import random
from array import array

import numpy as np

from weftmesh.core.forecast.effort import EffortModel, dot
from weftmesh.core.forecast.features import BUCKETS, DIMENSIONS, DocumentCounts, SparseRow, raw_features
from weftmesh.core.forecast.text import TaskText
from weftmesh.learner.training.csr import CsrMatrix


def rows(count: int, seed: int = 1) -> list[SparseRow]:
    source = random.Random(seed)
    vocabulary = ["".join(source.choices("abcdefghij", k=6)) for _ in range(300)]
    texts = [
        TaskText(" ".join(source.choices(vocabulary, k=4)), " ".join(source.choices(vocabulary, k=60)))
        for _ in range(count)
    ]
    raw = [raw_features(text) for text in texts]
    statistics = DocumentCounts.of(raw).statistics()
    return [statistics.weigh(one) for one in raw]


def test_the_matrix_holds_the_cores_rows_bit_for_bit() -> None:
    made = rows(20)
    matrix = CsrMatrix.of(made)
    for row, start, length in zip(made, matrix.starts, matrix.lengths, strict=True):
        assert matrix.values[start : start + length].tobytes() == row.values.tobytes()
        assert matrix.columns[start : start + length].tolist() == row.indices.tolist()


def test_scores_in_training_and_in_serving_agree() -> None:
    made = rows(50)
    source = random.Random(2)
    weights = array("f", [source.gauss(0, 1) for _ in range(DIMENSIONS)])
    in_training = CsrMatrix.of(made).times(np.asarray(weights, dtype=np.float64))
    np.testing.assert_allclose(in_training, [dot(row, weights) for row in made], rtol=0, atol=1e-12)


def test_products_are_those_of_the_dense_matrix() -> None:
    made = rows(8)
    dense = np.zeros((8, DIMENSIONS))
    for number, row in enumerate(made):
        dense[number, row.indices] = row.values
    source = np.random.default_rng(3)
    weights, errors = source.normal(size=DIMENSIONS), source.normal(size=8)
    matrix = CsrMatrix.of(made)
    np.testing.assert_allclose(matrix.times(weights), dense @ weights, atol=1e-12)
    np.testing.assert_allclose(matrix.transposed_times(errors), errors @ dense, atol=1e-12)


def test_a_text_without_words_is_a_row_too() -> None:
    raw = raw_features(TaskText("?"))
    model = EffortModel.untrained(DocumentCounts.of([raw]).statistics())
    matrix = CsrMatrix.of([model.statistics.weigh(raw), model.row(TaskText("node"))])
    assert matrix.height == 2
    assert matrix.columns.max() < DIMENSIONS
    assert (matrix.columns[: matrix.lengths[0]] >= BUCKETS).all()


def test_no_rows_make_an_empty_matrix() -> None:
    assert CsrMatrix.of([]).times(np.zeros(DIMENSIONS)).shape == (0,)
