"""Whole rounds of a job that promises noise: what leaves a node is short enough and noisy, or does not leave."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.unit.learner.learners import JOB, Learners, Outcome, add_version

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.forecast.effort import EffortModel
from weftmesh.core.forecast.features import COUNTS_LENGTH, DIMENSIONS, DocumentCounts
from weftmesh.core.forecast.model_bytes import encode_model
from weftmesh.core.learning.model import NoisePolicy, RoundKind
from weftmesh.learner.local_node import view_of
from weftmesh.learning.v1 import command_pb2, learning_pb2, row_pb2
from weftmesh.runtime.round_settings import RoundSettings, noise_settings

NOISE = NoisePolicy(clip=0.5, sigma=2.0, budget_nano_rho=10**9, colluders=1)
NEEDED = 3
"""Of three contributors."""


def learners_of(directory: Path, noise: NoisePolicy | None) -> Learners:
    directory.mkdir(exist_ok=True)
    learners = Learners(directory)
    learners.replica.noise = noise
    return learners


def settings(learners: Learners, kind: RoundKind, noise: NoisePolicy | None) -> RoundSettings:
    """As a coordinator tells them."""
    as_of_s = float(learners.replica.as_of_s)
    return RoundSettings("effort", kind, as_of_s, **noise_settings(noise))  # type: ignore[arg-type]  # one is whole


def train(learners: Learners, told: NoisePolicy | None, version: int = 1) -> Outcome:
    model = encode_model(EffortModel.untrained(DocumentCounts.of([]).statistics()))
    add_version(learners.replica, version, model)
    return learners.round(
        RoundKind.TRAINING,
        DIMENSIONS,
        base_version=version,
        model=model,
        metrics=("loss",),
        settings=settings(learners, RoundKind.TRAINING, told),
    )


def total_of(learners: Learners) -> np.ndarray:
    assert learners.total is not None, learners.refused
    return learners.total


def test_a_sum_has_all_of_its_noise_and_no_part_is_longer_than_the_clip(tmp_path: Path) -> None:
    learners = learners_of(tmp_path, NOISE)
    with suppress(InvalidInputError):  # the weights may add up to less than nothing
        train(learners, NOISE)
    total = total_of(learners)
    # Three stay of three, each with noise for two.
    expected = NOISE.sigma * math.sqrt(3 / (NEEDED - NOISE.colluders))
    assert float(np.std(total)) == pytest.approx(expected, rel=0.03)
    assert abs(float(total[DIMENSIONS])) < 3 * NOISE.clip + 6 * expected, "its weights alone were beyond 15"


@pytest.mark.parametrize("kind", [RoundKind.STATISTICS, RoundKind.EVALUATION])
def test_counts_and_evaluations_get_noise_too(tmp_path: Path, kind: RoundKind) -> None:
    learners = learners_of(tmp_path, replace(NOISE, sigma=0.25))
    exact = learners_of(tmp_path / "exact", None)
    model = encode_model(EffortModel.untrained(DocumentCounts.of([]).statistics()))
    length, metrics = (COUNTS_LENGTH, ()) if kind is RoundKind.STATISTICS else (0, ("model_loss", "baseline_loss"))
    for one in (learners, exact):
        add_version(one.replica, 1, model)
        told = settings(one, kind, one.replica.noise)
        with suppress(InvalidInputError):
            one.round(kind, length, base_version=1, model=model, metrics=metrics, settings=told)
    noisy, plain = total_of(learners), total_of(exact)
    assert float(np.linalg.norm(plain)) > 3 * NOISE.clip
    assert float(np.linalg.norm(noisy)) < 3 * NOISE.clip + 2 * 0.25 * math.sqrt(1.5 * len(noisy)) + 2


def test_a_job_without_a_policy_gets_no_noise(tmp_path: Path) -> None:
    outcome = train(learners_of(tmp_path, None), None)
    assert outcome.mean is not None
    assert outcome.mean.weight == pytest.approx(3 * math.sqrt(32), abs=1e-5)


@pytest.mark.parametrize(
    "told", [None, replace(NOISE, sigma=0.01), replace(NOISE, clip=9.0), replace(NOISE, colluders=0)]
)
def test_a_node_whose_replica_shows_a_policy_sends_nothing_for_a_coordinator_that_tells_another(
    tmp_path: Path, told: NoisePolicy | None
) -> None:
    learners = learners_of(tmp_path, NOISE)
    assert train(learners, told).mean is None
    assert {one.reason for one in learners.refused.values()} == {"NOT_ASSIGNED"}
    assert not [one for one in learners.said if len(one) > 8 * DIMENSIONS], "no vector left"


def test_a_node_whose_replica_does_not_show_the_round_yet_sends_nothing(
    tmp_path: Path,
) -> None:
    """It may not show the job's newest definition either, and with it the noise that the others add."""
    learners = learners_of(tmp_path, None)
    learners.replica.lags = True
    assert train(learners, None).mean is None
    assert {one.reason for one in learners.refused.values()} == {"ROUND_UNKNOWN"}


def test_a_policy_reaches_the_learner_whole() -> None:
    job = row_pb2.Job(name=JOB, enabled=True, round_id=b"r" * 16)
    assert view_of(learning_pb2.Learning(jobs=[job]), JOB, "n1").noise is None
    told = command_pb2.NoisePolicy(clip=1.0, sigma=5.0, budget_nano_rho=10**9, delta=1e-6, colluders=2)
    job.noise.CopyFrom(told)
    view = view_of(learning_pb2.Learning(jobs=[job]), JOB, "n1")
    assert view.noise == NoisePolicy(1.0, 5.0, 10**9, 1e-6, 2)
    assert view.round_id == b"r" * 16
