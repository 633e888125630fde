"""The predictor is believed while it beats persistence, and not otherwise."""

import math
import random

from weftmesh.core.routing.predictor import HORIZON_S, Predictor

STEP_S = 0.5


def fed(values: list[float]) -> tuple[Predictor, list[float]]:
    predictor = Predictor()
    return predictor, [predictor.observe(at * STEP_S, value) for at, value in enumerate(values)]


def test_a_signal_that_returns_to_its_mean_is_predicted_better_than_by_persistence() -> None:
    rng, value, values = random.Random(1), 0.0, []
    for _ in range(600):
        value = 0.6 * value + rng.gauss(0.0, 0.1)
        values.append(value)
    predictor, changes = fed(values)
    assert predictor.trusted
    assert predictor.model_error < 0.8 * predictor.persistence_error
    # On values that it had not seen when it predicted.
    ahead = int(HORIZON_S / STEP_S)
    errors = [(values[at + ahead] - values[at] - changes[at]) ** 2 for at in range(300, 600 - ahead)]
    persistence = [(values[at + ahead] - values[at]) ** 2 for at in range(300, 600 - ahead)]
    assert sum(errors) < 0.85 * sum(persistence)


def test_a_random_walk_cannot_be_predicted_and_is_not() -> None:
    rng, trusted = random.Random(2), 0
    value, predictor = 0.0, Predictor()
    for at in range(2000):
        value += rng.gauss(0.0, 0.1)
        predictor.observe(at * STEP_S, value)
        trusted += predictor.trusted
    assert trusted < 2000 * 0.05


def test_it_is_off_before_it_has_shown_anything() -> None:
    _, changes = fed([math.sin(at / 5.0) for at in range(30)])
    assert set(changes) == {0.0}


def test_it_goes_off_again_when_the_world_changes() -> None:
    rng, value, predictor = random.Random(3), 0.0, Predictor()
    for at in range(600):
        value = 0.5 * value + rng.gauss(0.0, 0.1)
        predictor.observe(at * STEP_S, value)
    assert predictor.trusted
    for at in range(600, 1500):
        value += rng.gauss(0.0, 0.3)
        predictor.observe(at * STEP_S, value)
    assert not predictor.trusted


def test_it_stays_finite_on_a_constant_and_on_a_jump() -> None:
    predictor, changes = fed([1.0] * 500 + [50.0] * 200)
    assert all(math.isfinite(one) for one in changes)
    assert math.isfinite(predictor.model_error)
