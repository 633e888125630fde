"""A job with a privacy budget: what its learners are told, and where it stops."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.coordinator.job_states import NODES, NOW_S, JobLog

from weftmesh.coordinator.heads import HEADS
from weftmesh.coordinator.rounds import Assignment
from weftmesh.coordinator.schedule import Activate, Count, Evaluate, Rest, Train, next_step
from weftmesh.core.learning import commands
from weftmesh.core.learning.model import NoisePolicy, RoundKind
from weftmesh.learning.v1.learning_pb2 import JobSpec

SPEC = JobSpec(head="effort", goal_version=3)
NOISE = NoisePolicy(clip=5.0, sigma=25.0, budget_nano_rho=40_000_000, delta=1e-6, colluders=2)
"""Pays for two sums."""


def test_a_job_stops_when_its_budget_is_used_up_and_says_so() -> None:
    log = JobLog(SPEC, noise=NOISE)
    seed = log.add()
    assert isinstance(next_step(log.state(), NOW_S), Count)
    untrained = log.add(0, log.round(RoundKind.STATISTICS, seed))
    assert isinstance(next_step(log.state(), NOW_S), Train)
    log.train(untrained, 1)
    step = next_step(log.state(), NOW_S)
    assert isinstance(step, Rest), "the evaluation would be the third sum"
    assert "used up its privacy budget" in step.why
    assert "0 are left" in step.why


def test_a_raised_budget_lets_it_go_on() -> None:
    log = JobLog(SPEC, noise=NOISE)
    log.train(log.begin(), 1)
    more = replace(NOISE, budget_nano_rho=60_000_000)
    spec = SPEC.SerializeToString()
    log.apply(commands.DefineJob, spec=spec, contributors_floor=3, threshold_percent=60, noise=more, version=1)
    assert isinstance(next_step(log.state(), NOW_S), Evaluate)


@pytest.mark.parametrize(("sigma", "activated"), [(0.1, True), (5.0, False)])
def test_a_gain_that_noise_may_have_made_activates_nothing(sigma: float, activated: bool) -> None:
    log = JobLog(SPEC, noise=replace(NOISE, sigma=sigma, budget_nano_rho=10**14))
    goal = log.train(log.begin(), 1)
    log.judge(goal, 9.0)
    assert isinstance(next_step(log.state(), NOW_S), Activate) is activated


@pytest.mark.parametrize("noise", [None, NOISE])
@pytest.mark.parametrize("kind", list(RoundKind))
def test_learners_are_told_the_noise_of_the_job(noise: NoisePolicy | None, kind: RoundKind) -> None:
    log = JobLog(SPEC, noise=noise)
    settings = Assignment(log.job, SPEC, HEADS["effort"], NODES, int(NOW_S)).settings(kind)
    assert settings.is_for(noise)
    assert settings.is_for(NOISE) is (noise is not None)
    assert not settings.is_for(replace(NOISE, colluders=0))
