"""The benchmark's own arithmetic, and what federated training must keep to on real issues."""

from __future__ import annotations

from itertools import product
from statistics import fmean

import pytest
from benchmarks.learning import dataset, linear_svr, published
from benchmarks.learning.forecasting import median_error, model_error
from benchmarks.learning.significance import signed_rank_p, wins
from benchmarks.learning.training import federated
from hypothesis import given, settings
from hypothesis import strategies as st

NEEDS_ISSUES = pytest.mark.skipif(not dataset.available(), reason=f"{dataset.DATA} is not part of the repository")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-4, 4), min_size=1, max_size=8))
def test_the_signed_rank_test_counts_all_signs(differences: list[int]) -> None:
    sizes = sorted(abs(one) for one in differences if one)
    rank = {size: fmean(place + 1 for place, other in enumerate(sizes) if other == size) for size in sizes}
    observed = sum(rank[one] for one in differences if one > 0)
    signs = list(product((0, 1), repeat=len(sizes)))
    as_small = sum(sum(sign * rank[size] for sign, size in zip(some, sizes, strict=True)) <= observed for some in signs)
    found = signed_rank_p([float(one) for one in differences], [0.0] * len(differences))
    assert found == pytest.approx(as_small / len(signs))


def test_a_win_on_every_project_is_unlikely_to_be_chance() -> None:
    ours, theirs = [float(number) for number in range(16)], [number + 1.0 for number in range(16)]
    assert wins(ours, theirs) == 16
    assert signed_rank_p(ours, theirs) == 1 / 2**16


@NEEDS_ISSUES
def test_every_project_has_its_recorded_peers() -> None:
    names = {path.name.removesuffix(".csv.gz") for path in dataset.files()}
    assert len(names) == 16
    assert names == linear_svr.recorded().keys() == published.deep_se().keys()


@NEEDS_ISSUES
@pytest.mark.slow
def test_federated_training_beats_what_a_team_has_alone_on_real_issues() -> None:
    projects = dataset.load()
    model = federated({one.name: one.history for one in projects})
    thresholds_alone = [model_error(model, one.history, one.test, precedents=None) for one in projects]
    ours = [model_error(model, one.history, one.test) for one in projects]
    medians = [median_error(one.history, one.test) for one in projects]
    regressions = [linear_svr.recorded()[one.name] for one in projects]
    assert fmean(ours) <= 2.50
    assert fmean(ours) < fmean(thresholds_alone)
    assert wins(ours, medians) >= 12
    assert wins(ours, regressions) >= 11
    assert fmean(our / their for our, their in zip(ours, medians, strict=True)) < 0.96
