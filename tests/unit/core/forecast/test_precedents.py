"""What a team's earlier tasks say about the next one."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.forecast.features import DocumentCounts, SparseRow, raw_features
from weftmesh.core.forecast.ordinal import fit_scale
from weftmesh.core.forecast.precedents import SHIFT_MAX, WordIndex, fit_history
from weftmesh.core.forecast.text import TaskText

TITLES = ("rewrite scheduler", "typo in help", "rewrite parser", "upgrade kernel on nodes", "typo", "")
STATISTICS = DocumentCounts.of(raw_features(TaskText(title)) for title in TITLES).statistics()
POINTS = st.sampled_from([1.0, 2.0, 3.0, 5.0, 8.0])
LABELLED = st.lists(st.tuples(st.sampled_from(TITLES), st.floats(-20, 20), POINTS), min_size=1, max_size=40)


def row(title: str) -> SparseRow:
    return STATISTICS.weigh(raw_features(TaskText(title)))


def cosine(one: SparseRow, other: SparseRow) -> float:
    others = dict(zip(other.indices[:-9], other.values, strict=False))
    return math.fsum(value * others.get(index, 0.0) for index, value in zip(one.indices[:-9], one.values, strict=False))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(TITLES), max_size=12), st.sampled_from(TITLES))
def test_the_index_knows_the_cosines_of_all_rows(titles: list[str], asked: str) -> None:
    rows = [row(title) for title in titles]
    expected = [cosine(row(asked), one) for one in rows]
    assert WordIndex.of(rows).cosines(row(asked)) == pytest.approx(expected, abs=1e-6)


def test_a_task_like_earlier_large_ones_is_forecast_larger() -> None:
    titles, efforts = ["rewrite scheduler", "typo in help"] * 30, [8.0, 1.0] * 30
    history = fit_history([row(title) for title in titles], [0.0] * 60, efforts)
    assert history.middle(row("rewrite parser"), 0.0) == 8.0
    assert history.middle(row("typo"), 0.0) == 1.0


def test_new_labels_count_more_than_old_ones() -> None:
    rows, scores = [row("upgrade kernel on nodes")] * 500, [0.0] * 500
    risen = fit_history(rows, scores, [2.0] * 300 + [5.0] * 200)
    fallen = fit_history(rows, scores, [5.0] * 200 + [2.0] * 300)
    assert (risen.scale.median, fallen.scale.median) == (2.0, 2.0)
    assert (risen.middle(row("typo"), 0.0), fallen.middle(row("typo"), 0.0)) == (5.0, 2.0)


def test_labels_that_came_out_as_their_scores_said_move_little() -> None:
    titles = ["rewrite scheduler", "typo in help"] * 30
    history = fit_history([row(one) for one in titles], [12.0, -12.0] * 30, [8.0, 1.0] * 30)
    assert history.scale_for(row("rewrite parser")).thresholds == pytest.approx(history.scale.thresholds, abs=0.1)


@settings(max_examples=40, deadline=None)
@given(LABELLED, st.sampled_from(TITLES), st.floats(-30, 30))
def test_moved_thresholds_stay_in_order_and_near(
    labelled: list[tuple[str, float, float]], asked: str, score: float
) -> None:
    titles, scores, efforts = zip(*labelled, strict=True)
    history = fit_history([row(title) for title in titles], scores, efforts)
    moved = history.scale_for(row(asked))
    assert list(moved.thresholds) == sorted(moved.thresholds)
    assert moved.thresholds == pytest.approx(history.scale.thresholds, abs=SHIFT_MAX + 1e-9)
    assert history.middle(row(asked), score) in {*history.scale.levels, history.scale.median}


@settings(max_examples=40, deadline=None)
@given(LABELLED)
def test_precedents_leave_the_scale_as_it_is_fitted(labelled: list[tuple[str, float, float]]) -> None:
    titles, scores, efforts = zip(*labelled, strict=True)
    history = fit_history([row(title) for title in titles], scores, efforts)
    assert history.scale == fit_scale(scores, efforts)
    assert (history.precedents is None) == (not history.scale.thresholds)


def test_without_thresholds_the_forecast_is_the_median() -> None:
    history = fit_history([row("typo")] * 3, [0.0] * 3, [1.0, 2.0, 8.0])
    assert history.precedents is None
    assert history.scale_for(row("typo")) == history.scale
    assert history.middle(row("typo"), 5.0) == 2.0


@pytest.mark.parametrize(("rows", "efforts"), [(0, []), (3, [1.0, 2.0] * 5)])
def test_labels_that_do_not_fit_their_rows_are_refused(rows: int, efforts: list[float]) -> None:
    with pytest.raises(InvalidInputError):
        fit_history([row("typo")] * rows, [0.0] * len(efforts), efforts)
