"""A node's sums: the same numbers that the core serves with, and a gradient that is one."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import numpy as np
import pytest

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.forecast.cycle_time import DAY_S, INTERVALS, PHASE_OF, PHASES, TaskTimes, exposure
from weftmesh.core.forecast.finish_averaging import ROUNDS, contribution_length, server_step, untrained
from weftmesh.core.forecast.finish_features import BoardTask, TeamHistory
from weftmesh.core.forecast.finish_model import FinishModel
from weftmesh.core.forecast.finish_pace import PaceSettings
from weftmesh.learner.finish.data import HALF_LIFE_S, FinishData, finish_data
from weftmesh.learner.finish.training import VALUE_MAX, standardise_round, together, train_round

NOW_S = 400 * DAY_S


def node(seed: int, per_day: float, log_effect: float, tasks: int = 400) -> FinishData:
    """Tasks with one feature that hastens them, and one that does not, all at one rate but censored at NOW_S."""
    rng = random.Random(seed)
    features, at_risk, resolutions = [], np.zeros((tasks, INTERVALS)), np.zeros((tasks, INTERVALS))
    for row in range(tasks):
        features.append([rng.gauss(0, 1), rng.gauss(5, 3)])
        took_s = rng.expovariate(per_day * math.exp(log_effect * features[-1][0])) * DAY_S
        created_s = rng.uniform(0, NOW_S)
        shown = exposure(TaskTimes(created_s, created_s + took_s), NOW_S, half_life_s=1e12)
        at_risk[row, : len(shown.at_risk)] = shown.at_risk
        if shown.resolved_in is not None:
            resolutions[row, shown.resolved_in] = shown.resolution
    return FinishData(np.array(features), at_risk, resolutions)


def trained(nodes: list[FinishData], rounds: int = ROUNDS, ridge: float = 0.0) -> FinishModel:
    model = untrained([*together([standardise_round(one) for one in nodes]).vector, 1.0])
    for _ in range(rounds):
        mean = together([train_round(one, model) for one in nodes]).vector
        model = server_step(model, mean.tolist(), ridge=ridge + 1e-9)
    return model


def log_likelihood(data: FinishData, model: FinishModel) -> float:
    """Per task, at the node's own best rates, in plain Python."""
    total, exposures = 0.0, [0.0] * INTERVALS
    for x, at_risk, resolved in zip(data.features.tolist(), data.at_risk, data.resolutions, strict=True):
        effects = model.log_effects(x)
        for interval in range(INTERVALS):
            exposures[interval] += at_risk[interval] * math.exp(effects[PHASE_OF[interval]])
            total += resolved[interval] * effects[PHASE_OF[interval]]
    for exposed, count in zip(exposures, data.resolutions.sum(axis=0), strict=True):
        total += count * math.log(count / exposed) if count else 0.0
    return total / len(data.features)


def test_the_gradient_is_the_slope_of_the_likelihood() -> None:
    data = node(1, per_day=0.2, log_effect=0.5, tasks=60)
    model = replace(trained([data], rounds=0), weights=((0.1, -0.05),) * PHASES)
    gradient = train_round(data, model).vector[: PHASES * 2].reshape(PHASES, 2)

    for phase in range(PHASES):
        for feature in range(2):
            sides = []
            for step in (1e-5, -1e-5):
                rows = [list(row) for row in model.weights]
                rows[phase][feature] += step
                sides.append(log_likelihood(data, replace(model, weights=tuple(map(tuple, rows)))))
            assert gradient[phase, feature] == pytest.approx((sides[0] - sides[1]) / 2e-5, abs=1e-6)


def test_the_loss_is_the_likelihood_at_the_team_s_own_rates() -> None:
    data = node(1, per_day=0.2, log_effect=0.5, tasks=60)
    model = replace(trained([data], rounds=0), weights=((0.1, -0.05),) * PHASES)

    expected = data.resolutions.sum() / len(data.features) - log_likelihood(data, model)
    assert train_round(data, model).loss == pytest.approx(expected)
    assert train_round(data, trained([data], ROUNDS)).loss < train_round(data, model).loss


def test_tasks_that_end_when_they_begin_say_nothing() -> None:
    data = node(1, per_day=0.2, log_effect=0.5, tasks=60)
    at_once = np.zeros((60, INTERVALS))
    at_once[:, 0] = 1.0

    nothing = train_round(FinishData(data.features, np.zeros((60, INTERVALS)), at_once), trained([data], rounds=0))

    assert not nothing.vector.any()
    assert nothing.loss == 0.0


def test_teams_of_very_different_pace_learn_the_same_effect() -> None:
    # Their own rates differ 50 times and stay with them; what they share is the effect.
    model = trained([node(2, per_day=1.0, log_effect=0.7), node(3, per_day=0.02, log_effect=0.7)])

    for row in model.weights[1:3]:
        assert row == pytest.approx((0.7, 0.0), abs=0.15)


def test_censored_tasks_do_not_bias_the_effect() -> None:
    # Half of the tasks are still open.
    slow = node(4, per_day=0.004, log_effect=0.7, tasks=1_500)
    assert 0.35 < slow.resolutions.sum() / len(slow.features) < 0.65

    assert trained([slow]).weights[3][0] == pytest.approx(0.7, abs=0.12)


def test_rounds_settle() -> None:
    nodes = [node(5, per_day=0.3, log_effect=1.0), node(6, per_day=0.1, log_effect=1.0)]

    before, after = trained(nodes, ROUNDS, ridge=0.01), trained(nodes, ROUNDS + 1, ridge=0.01)

    assert np.array(after.weights) == pytest.approx(np.array(before.weights), abs=1e-4)


def test_the_order_of_nodes_changes_nothing() -> None:
    nodes = [node(seed, per_day=0.2, log_effect=0.3, tasks=50 * seed) for seed in (1, 2, 3)]

    assert np.array(trained(nodes).weights) == pytest.approx(np.array(trained(nodes[::-1]).weights), abs=1e-9)


def test_learner_and_core_see_the_same_numbers() -> None:
    rng = random.Random(8)
    created = [rng.uniform(0, 300 * DAY_S) for _ in range(50)]
    tasks = [
        BoardTask(TaskTimes(at_s, at_s + rng.expovariate(0.02) * DAY_S), rng.choice(["Bug", "Epic"]), 30, 100)
        for at_s in created
    ]
    history = TeamHistory(tasks)
    now_s = 200 * DAY_S

    data = finish_data(tasks, history, now_s)

    known = [task for task in tasks if task.times.created_s <= now_s]
    assert data.features.tolist() == [list(history.features(task)) for task in known]
    for row, task in enumerate(known):
        shown = exposure(task.times, now_s, HALF_LIFE_S, PaceSettings().open_weight)
        assert tuple(data.at_risk[row, : len(shown.at_risk)]) == shown.at_risk
        assert data.resolutions[row].sum() == shown.resolution


def test_a_contribution_says_means_only_and_is_bounded() -> None:
    data = node(9, per_day=0.2, log_effect=0.3, tasks=100)
    data.features[0, 0] = 1e9
    twice = FinishData(*(np.concatenate([one, one]) for one in (data.features, data.at_risk, data.resolutions)))
    model = trained([data], rounds=0)

    one, both = train_round(data, model), train_round(twice, model)

    assert one.vector == pytest.approx(both.vector)
    assert both.weight == pytest.approx(math.sqrt(2) * one.weight)
    assert one.vector.shape == (contribution_length(2),)
    assert np.abs(standardise_round(data).vector).max() <= VALUE_MAX


def test_a_node_without_tasks_sits_the_round_out() -> None:
    task = BoardTask(TaskTimes(10.0, None), "Bug", 1, 0)

    with pytest.raises(InvalidInputError, match="sits the round out"):
        finish_data([task], TeamHistory([task]), now_s=9.0)


def test_a_round_of_nobody_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="at least one"):
        together([])
