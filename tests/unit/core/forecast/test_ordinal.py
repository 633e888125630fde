"""Levels, thresholds and quantiles on a team's own scale."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.forecast.ordinal import (
    LABELS_MIN,
    LEVELS_MAX,
    fit_scale,
    fit_threshold,
    gap_weights,
    levels_of,
    logistic,
    share_above,
)

SCORES = st.lists(st.floats(-20, 20), min_size=1, max_size=40)
POINTS = st.sampled_from([1.0, 2.0, 3.0, 5.0, 8.0, 13.0])


def test_values_used_often_enough_are_the_levels() -> None:
    assert levels_of([1.0] * 300 + [3.0] * 90 + [5.0] * 8 + [100.0] * 2) == (1.0, 3.0, 5.0)


def test_with_few_labels_every_value_is_a_level() -> None:
    assert levels_of([1.0, 2.0, 2.0]) == (1.0, 2.0)


def test_hours_are_cut_into_levels_of_equal_frequency() -> None:
    hours = [float(number) for number in range(1_000)]
    levels = levels_of(hours)
    assert len(levels) == LEVELS_MAX
    assert levels[LEVELS_MAX // 2] == pytest.approx(500, abs=20)


def test_a_few_popular_values_do_not_hide_the_others() -> None:
    hours = [8.0] * 5 + [16.0] * 5 + [number + 0.5 for number in range(90)]
    assert len(levels_of(hours)) == LEVELS_MAX


def test_weights_are_gaps_in_mean_absolute_deviations() -> None:
    assert gap_weights([1.0, 3.0, 8.0], [1.0, 3.0, 3.0, 8.0]) == pytest.approx([2 / 1.75, 5 / 1.75])


@settings(max_examples=40, deadline=None)
@given(SCORES, st.floats(0.001, 0.999))
def test_the_mean_chance_at_a_threshold_is_the_share(scores: Sequence[float], share: float) -> None:
    threshold = fit_threshold(scores, share)
    assert fmean(logistic(score - threshold) for score in scores) == pytest.approx(share, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(-20, 20), POINTS), min_size=1, max_size=60), st.floats(-30, 30))
def test_thresholds_rise_and_quantiles_with_them(labelled: list[tuple[float, float]], score: float) -> None:
    scale = fit_scale([one for one, _ in labelled], [effort for _, effort in labelled])
    assert list(scale.thresholds) == sorted(scale.thresholds)
    if scale.thresholds:
        found = [scale.quantile(score, probability) for probability in (0.05, 0.5, 0.85, 0.95)]
        assert found == sorted(found)
        assert set(found) <= set(scale.levels)
        assert scale.quantile(score + 5, 0.5) >= scale.quantile(score, 0.5)


def test_a_text_that_says_nothing_gets_the_median() -> None:
    efforts = [1.0] * 20 + [3.0] * 45 + [8.0] * 35
    scale = fit_scale([0.0] * 100, efforts)
    assert scale.quantile(0.0, 0.5) == scale.median == 3.0
    assert scale.quantile(0.0, 0.85) == 8.0


def test_a_text_that_tells_moves_the_forecast() -> None:
    source = random.Random(7)
    scores = [source.gauss(0, 2) for _ in range(400)]
    efforts = [8.0 if source.random() < logistic(score - 1) else 2.0 for score in scores]
    scale = fit_scale(scores, efforts)
    assert scale.thresholds[0] == pytest.approx(1, abs=0.4)
    assert (scale.quantile(-3, 0.5), scale.quantile(4, 0.5)) == (2.0, 8.0)


def test_few_labels_or_equal_ones_make_a_scale_without_thresholds() -> None:
    assert fit_scale([0.0] * (LABELS_MIN - 1), [1.0, 2.0, 3.0, 5.0]).thresholds == ()
    assert fit_scale([0.0] * 50, [3.0] * 50).thresholds == ()


def test_labels_that_all_lie_on_one_side_have_a_finite_threshold() -> None:
    assert 0 < share_above([5.0] * 9, 1.0) < 1
    assert math.isfinite(fit_threshold([0.0] * 9, share_above([5.0] * 9, 1.0)))


def test_the_logistic_does_not_overflow() -> None:
    assert (logistic(-1e6), logistic(0), logistic(1e6)) == (0, 0.5, 1)


@pytest.mark.parametrize(("scores", "efforts"), [([], []), ([0.0], [1.0, 2.0])])
def test_a_scale_without_labels_is_refused(scores: list[float], efforts: list[float]) -> None:
    with pytest.raises(InvalidInputError):
        fit_scale(scores, efforts)
