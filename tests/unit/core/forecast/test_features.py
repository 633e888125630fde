"""Hashed features, the counts that add up, and the weights that follow."""

from __future__ import annotations

import math
import time
from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.forecast.features import (
    BUCKETS,
    COUNTS_LENGTH,
    DIMENSIONS,
    DocumentCounts,
    hashed,
    raw_features,
    terms,
)
from weftmesh.core.forecast.text import TaskText

WORDS = st.text(alphabet="abcdefgh ", max_size=60)
TEXTS = st.lists(st.builds(TaskText, WORDS, WORDS), min_size=1, max_size=6)


def test_the_hash_is_the_same_on_every_machine() -> None:
    # A model trained by another release would read other words into its weights if these changed.
    assert [hashed(term) for term in ("restart", "node", "überprüfung")] == [(8711, -1), (10309, -1), (10272, -1)]


def test_words_spread_over_buckets_and_signs() -> None:
    count = 4 * BUCKETS
    places = [hashed(f"word{number:x}") for number in range(count)]
    filled = len({bucket for bucket, _ in places})
    assert filled / BUCKETS == pytest.approx(1 - math.exp(-4), abs=0.01)
    assert abs(sum(sign for _, sign in places)) < 4 * math.sqrt(count)


def test_terms_are_words_and_pairs_of_neighbours() -> None:
    assert terms(TaskText("", "node restart node")) == {"node": 2, "restart": 1, "node restart": 1, "restart node": 1}


def test_raw_features_are_the_signed_counts_of_the_terms() -> None:
    text = TaskText("Restart fails", "on each restart")
    expected: dict[int, int] = {}
    for term, count in terms(text).items():
        bucket, sign = hashed(term)
        expected[bucket] = expected.get(bucket, 0) + sign * count
    raw = raw_features(text)
    assert dict(zip(raw.buckets, raw.counts, strict=True)) == {key: value for key, value in expected.items() if value}
    assert list(raw.buckets) == sorted(raw.buckets)


@settings(max_examples=40, deadline=None)
@given(TEXTS, TEXTS)
def test_counts_of_two_nodes_add_up_to_those_of_all_texts(one: list[TaskText], other: list[TaskText]) -> None:
    apart = DocumentCounts.of(map(raw_features, one)) + DocumentCounts.of(map(raw_features, other))
    together = DocumentCounts.of(map(raw_features, one + other))
    assert (apart.documents, apart.by_bucket) == (together.documents, together.by_bucket)
    assert list(apart.shape_sums) == pytest.approx(list(together.shape_sums))
    assert list(apart.shape_squares) == pytest.approx(list(together.shape_squares))


def test_counts_survive_their_vector_form() -> None:
    counts = DocumentCounts.of([raw_features(TaskText("Restart fails"))])
    assert len(counts.to_vector()) == COUNTS_LENGTH
    assert DocumentCounts.from_vector(counts.to_vector()) == counts


@pytest.mark.parametrize(
    ("vector", "why"),
    [
        (array("d", [1.0]), "instead of"),
        (array("d", [1.0, math.nan] + [0.0] * (COUNTS_LENGTH - 2)), "not finite"),
    ],
)
def test_a_vector_that_no_nodes_make_is_refused(vector: array[float], why: str) -> None:
    with pytest.raises(InvalidInputError, match=why):
        DocumentCounts.from_vector(vector)


def test_sums_that_fixed_point_left_a_little_off_are_read() -> None:
    vector = DocumentCounts.of([raw_features(TaskText("node"))]).to_vector()
    for place in range(1, 1 + BUCKETS):
        vector[place] += 1e-6 if vector[place] else -1e-6
    assert set(DocumentCounts.from_vector(vector).statistics().idf) == {1.0, array("f", [math.log(2) + 1])[0]}


def test_counts_that_noise_took_below_nothing_are_read_as_nothing() -> None:
    vector = DocumentCounts.of([raw_features(TaskText("node")), raw_features(TaskText("restart"))]).to_vector()
    exact = DocumentCounts.from_vector(vector).statistics()
    for place in range(1, 1 + BUCKETS):
        vector[place] -= 0.0 if vector[place] else 5.0
    assert DocumentCounts.from_vector(vector).statistics() == exact
    vector[0] = -3.0
    statistics = DocumentCounts.from_vector(vector).statistics()
    assert statistics.documents == 0
    assert all(1.0 <= one <= 1.0 + math.log(2) + 1e-6 for one in statistics.idf)


def test_half_a_character_is_no_word() -> None:
    assert raw_features(TaskText("node \ud800restart")) == raw_features(TaskText("node \udfffrestart"))


def test_a_rare_word_weighs_more_than_a_common_one() -> None:
    texts = [TaskText("node restart"), TaskText("node upgrade"), TaskText("node")]
    idf = DocumentCounts.of(map(raw_features, texts)).statistics().idf
    assert idf[hashed("restart")[0]] == pytest.approx(math.log(4 / 2) + 1)
    assert idf[hashed("node")[0]] == pytest.approx(1)


@settings(max_examples=40, deadline=None)
@given(TEXTS)
def test_the_words_of_a_row_have_norm_one(texts: list[TaskText]) -> None:
    rows = [raw_features(text) for text in texts]
    statistics = DocumentCounts.of(rows).statistics()
    for raw in rows:
        row = statistics.weigh(raw)
        assert list(row.indices) == sorted(set(row.indices))
        assert all(0 <= index < DIMENSIONS for index in row.indices)
        assert all(map(math.isfinite, row.values))
        square = sum(value**2 for index, value in zip(row.indices, row.values, strict=True) if index < BUCKETS)
        assert square == pytest.approx(1 if raw.buckets else 0)


def test_a_shape_that_never_varies_says_nothing() -> None:
    raw = raw_features(TaskText("node"))
    row = DocumentCounts.of([raw, raw]).statistics().weigh(raw)
    assert [value for index, value in zip(row.indices, row.values, strict=True) if index >= BUCKETS] == [0.0] * 9


def test_statistics_of_no_text_are_usable() -> None:
    assert all(map(math.isfinite, DocumentCounts.of([]).statistics().weigh(raw_features(TaskText("node"))).values))


def test_a_thousand_tasks_are_featurised_within_a_second() -> None:
    prose = " ".join(f"word{chr(97 + number % 26)}{chr(97 + number // 26)} with" for number in range(150))
    texts = [TaskText(f"Title number {number}", f"{number} {prose}") for number in range(1_000)]
    statistics = DocumentCounts.of([raw_features(texts[0])]).statistics()
    started = time.process_time()
    for text in texts:
        statistics.weigh(raw_features(text))
    assert time.process_time() - started < 1
