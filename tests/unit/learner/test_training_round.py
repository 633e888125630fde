"""A node's half of a round: gradients, thresholds, bounded updates, and teams that gain from each other."""

from __future__ import annotations

import random
from dataclasses import replace
from statistics import fmean

import numpy as np
import pytest

from weftmesh.core.errors import InvalidInputError, PreconditionError
from weftmesh.core.forecast.averaging import server_step
from weftmesh.core.forecast.calibration import TeamCalibration
from weftmesh.core.forecast.effort import EffortModel
from weftmesh.core.forecast.features import DIMENSIONS, DocumentCounts, RawFeatures, raw_features
from weftmesh.core.forecast.ordinal import fit_threshold
from weftmesh.core.forecast.text import TaskText
from weftmesh.learner.training.evaluation import evaluate
from weftmesh.learner.training.round import (
    TrainingSettings,
    Update,
    check_update,
    clipped,
    mean_update,
    train_round,
)
from weftmesh.learner.training.team import TeamData
from weftmesh.learner.training.thresholds import fit_thresholds

SETTINGS = TrainingSettings()
VOCABULARY = ["scheduler", "rewrite", "parser", "storage", "typo", "label", "colour", "wording"]
LARGE = set(VOCABULARY[:4])


def team_rows(count: int, scale: tuple[float, ...], seed: int) -> tuple[list[RawFeatures], list[float]]:
    """Texts of three words; the more large words, the higher on the team's own scale."""
    source = random.Random(seed)
    texts, efforts = [], []
    for _ in range(count):
        chosen = source.choices(VOCABULARY, k=3)
        texts.append(raw_features(TaskText(" ".join(chosen))))
        efforts.append(scale[sum(word in LARGE for word in chosen)])
    return texts, efforts


def made(*teams: tuple[list[RawFeatures], list[float]]) -> tuple[EffortModel, list[TeamData]]:
    statistics = DocumentCounts.of(text for texts, _ in teams for text in texts).statistics()
    return EffortModel.untrained(statistics), [TeamData.of(texts, efforts, statistics) for texts, efforts in teams]


def trained(model: EffortModel, nodes: list[list[TeamData]], rounds: int) -> EffortModel:
    for _ in range(rounds):
        mean = mean_update([train_round(teams, model, SETTINGS) for teams in nodes])
        model = server_step(model, mean.tolist())
    return model


POINTS = (1.0, 2.0, 5.0, 8.0)
HOURS = (2.0, 6.0, 16.0, 40.0)


def test_thresholds_are_those_that_serving_fits() -> None:
    source = np.random.default_rng(5)
    scores, shares = source.normal(size=80) * 3, np.array([0.9, 0.4, 0.02])
    expected = [fit_threshold(scores.tolist(), share) for share in shares.tolist()]
    np.testing.assert_allclose(fit_thresholds(scores, shares), expected, atol=1e-9)


def test_the_gradient_is_that_of_the_loss() -> None:
    _, (team,) = made(team_rows(60, POINTS, 1))
    source = np.random.default_rng(2)
    weights, direction = source.normal(size=DIMENSIONS), source.normal(size=DIMENSIONS)
    thresholds = team.thresholds(weights)
    step = 1e-5
    slope = (team.loss(weights + step * direction, thresholds) - team.loss(weights - step * direction, thresholds)) / (
        2 * step
    )
    assert team.gradient(weights, thresholds) @ direction == pytest.approx(slope, rel=1e-5)


def test_a_round_lowers_the_loss() -> None:
    model, (team,) = made(team_rows(200, POINTS, 1))
    before = np.zeros(DIMENSIONS)
    after = before + train_round([team], model, SETTINGS).change
    assert team.loss(after, team.thresholds(after)) < team.loss(before, team.thresholds(before))


def test_one_step_without_pull_is_the_negative_gradient() -> None:
    model, (team,) = made(team_rows(50, POINTS, 1))
    update = train_round([team], model, TrainingSettings(local_steps=1, learning_rate=0.5, l2=0))
    zeroes = np.zeros(DIMENSIONS)
    expected = -0.5 * team.gradient(zeroes, team.thresholds(zeroes))
    np.testing.assert_allclose(update.change, expected, atol=1e-6)
    assert update.weight == pytest.approx(50**0.5)
    assert update.labels == 50


def test_teams_on_one_node_and_on_two_make_the_same_first_step() -> None:
    model, (one, other) = made(team_rows(90, POINTS, 1), team_rows(40, HOURS, 2))
    step = TrainingSettings(local_steps=1)
    apart = mean_update([train_round([one], model, step), train_round([other], model, step)])
    together = mean_update([train_round([one, other], model, step)])
    np.testing.assert_allclose(apart, together, atol=1e-7)


def test_the_unit_of_a_team_does_not_matter() -> None:
    texts, efforts = team_rows(90, POINTS, 1)
    model, (days, minutes) = made((texts, efforts), (texts, [480 * effort for effort in efforts]))
    np.testing.assert_allclose(
        train_round([days], model, SETTINGS).change, train_round([minutes], model, SETTINGS).change, atol=1e-7
    )


def test_a_large_update_is_shortened() -> None:
    model, (team,) = made(team_rows(50, POINTS, 1))
    settings = TrainingSettings(update_norm_max=0.01)
    assert np.linalg.norm(train_round([team], model, settings).change) == pytest.approx(0.01, rel=1e-5)
    assert np.linalg.norm(clipped(np.full(DIMENSIONS, 3.0), 2.0)) == pytest.approx(2.0)


@pytest.mark.parametrize(
    "broken",
    [
        {"change": np.zeros(3, np.float32)},
        {"change": np.full(DIMENSIONS, np.nan, np.float32)},
        {"change": np.full(DIMENSIONS, 1.0, np.float32)},
        {"weight": 0.0},
        {"weight": float("inf")},
    ],
)
def test_an_update_that_must_not_reach_the_mean_is_refused(broken: dict[str, object]) -> None:
    good = Update(np.zeros(DIMENSIONS, np.float32), 1.0, 10)
    check_update(good, SETTINGS)
    with pytest.raises(InvalidInputError) as caught:
        check_update(replace(good, **broken), SETTINGS)  # type: ignore[arg-type]
    assert caught.value.reason == "UPDATE_INVALID"


def test_a_node_without_a_lesson_says_so() -> None:
    model, _ = made(team_rows(10, POINTS, 1))
    with pytest.raises(PreconditionError, match="no team"):
        train_round([], model, SETTINGS)
    texts, _ = team_rows(10, POINTS, 1)
    with pytest.raises(PreconditionError, match="10 labels on 1 levels"):
        TeamData.of(texts, [3.0] * 10, model.statistics)
    with pytest.raises(PreconditionError, match="4 labels"):
        TeamData.of(texts[:4], [1.0, 2.0, 1.0, 2.0], model.statistics)


def test_a_label_that_is_no_effort_is_refused() -> None:
    texts, efforts = team_rows(10, POINTS, 1)
    with pytest.raises(InvalidInputError, match="effort nan"):
        TeamData.of(texts, [*efforts[:-1], float("nan")], DocumentCounts.of(texts).statistics())


def test_teams_with_other_scales_teach_a_newcomer() -> None:
    model, (points, hours) = made(team_rows(300, POINTS, 1), team_rows(300, HOURS, 2))
    model = trained(model, [[points], [hours]], rounds=20)
    texts, efforts = team_rows(80, (0.5, 1.0, 2.0, 4.0), 3)
    found = evaluate(model, texts, efforts, 20, TeamCalibration())
    assert found.forecasts == 60
    assert found.model_error < 0.3 * found.median_error


def test_an_evaluation_asks_before_it_learns() -> None:
    texts, _ = team_rows(30, POINTS, 1)
    model = EffortModel.untrained(DocumentCounts.of(texts).statistics())
    found = evaluate(model, texts, [1.0] * 20 + [9.0] * 10, 20, TeamCalibration())
    assert found.median_error / found.forecasts == pytest.approx(fmean([8.0] * 10))
