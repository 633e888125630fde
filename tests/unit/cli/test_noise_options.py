"""A budget in epsilon becomes noise that pays for the rounds that were asked for, and is told again as epsilon."""

from __future__ import annotations

import math

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from weftmesh.cli.commands.learn_change import _new, _promise
from weftmesh.cli.commands.learn_read import _state
from weftmesh.cli.learning_text import learning_json
from weftmesh.cli.noise_options import OTHER_SUMS, SPARE, noise_options, policy
from weftmesh.cli.noise_text import budget_json, budget_text, is_spent
from weftmesh.core.errors import InvalidInputError, PreconditionError
from weftmesh.core.learning.model import NoisePolicy
from weftmesh.core.learning.privacy import NANO_RHO, sum_cost_nano_rho
from weftmesh.core.learning.validate import checked_noise
from weftmesh.learning.v1 import learning_pb2, row_pb2
from weftmesh.runtime.wire.learning_records import read

ROUNDS = 60


def noisy_job(spent_sums: int = 0) -> row_pb2.Job:
    define = _new("effort", ROUNDS)
    _promise(define, learning_pb2.Learning(), epsilon=8.0, delta=1e-6, clip=5.0, colluders=1)
    job = row_pb2.Job(name="effort", enabled=True, contributors_floor=3, spec=define.spec, noise=define.noise)
    job.spent_nano_rho = spent_sums * sum_cost_nano_rho(read(NoisePolicy, job.noise))
    return job


@given(st.floats(0.5, 1e4), st.floats(0.1, 1e3), st.integers(1, 500), st.floats(0, 0.5))
def test_the_budget_pays_for_the_rounds_and_the_log_takes_the_policy(
    epsilon: float, clip: float, rounds: int, spent: float
) -> None:
    fresh = policy(epsilon, 1e-6, clip, 1, rounds=rounds, spent_nano_rho=0)
    spent_nano_rho = int(spent * fresh.budget_nano_rho)
    made = policy(epsilon, 1e-6, clip, 1, rounds=rounds, spent_nano_rho=spent_nano_rho)
    noise = checked_noise(read(NoisePolicy, made), 3)
    sums = (made.budget_nano_rho - spent_nano_rho) // sum_cost_nano_rho(noise)
    asked = rounds + OTHER_SUMS + math.ceil(rounds * SPARE)
    assert asked <= sums <= asked + 1


def test_a_job_without_epsilon_promises_nothing_and_keeps_what_it_promised() -> None:
    define = _new("effort", ROUNDS)
    _promise(define, learning_pb2.Learning(), epsilon=None, delta=1e-6, clip=5.0, colluders=1)
    assert not define.HasField("noise")
    assert budget_json(row_pb2.Job(name="effort")) is None
    assert budget_text(row_pb2.Job(name="effort")) == ""


def test_nothing_is_left_of_a_budget_that_is_spent() -> None:
    with pytest.raises(PreconditionError, match="fewer rounds"):
        policy(1.0, 1e-6, 5.0, 1, rounds=10, spent_nano_rho=NANO_RHO)


@pytest.mark.parametrize(("epsilon", "clip"), [(0.0, 5.0), (-1.0, 5.0), (math.nan, 5.0), (8.0, 0.0), (8.0, math.inf)])
def test_numbers_that_promise_nothing_are_refused(epsilon: float, clip: float) -> None:
    with pytest.raises(InvalidInputError):
        policy(epsilon, 1e-6, clip, 1, rounds=10, spent_nano_rho=0)


def test_status_tells_what_is_spent_and_that_nothing_is_left() -> None:
    sums = budget_json(noisy_job())
    assert sums is not None
    assert sums["epsilon_budget"] == pytest.approx(8.0, rel=1e-6)
    assert (sums["epsilon_spent"], sums["rho_spent"]) == (0, 0)
    job = noisy_job(sums["sums_left"])
    assert "0 more sums" in budget_text(job)
    assert is_spent(job)
    assert _state(learning_pb2.Learning(jobs=[job]), job) == "its privacy budget is used up"
    (shown,) = learning_json(learning_pb2.Learning(jobs=[job]))["jobs"]
    assert shown["privacy"]["epsilon_spent"] == pytest.approx(8.0, rel=1e-2)
    assert not is_spent(noisy_job(sums["sums_left"] - 1))


def test_the_options_are_told_apart_from_none() -> None:
    seen: list[dict[str, object]] = []

    @click.command()
    @noise_options
    def learn(**noise: object) -> None:
        seen.append(noise)

    runner = CliRunner()
    assert runner.invoke(learn, []).exit_code == 0
    assert runner.invoke(learn, ["--epsilon", "8", "--colluders", "2"]).exit_code == 0
    assert runner.invoke(learn, ["--colluders", "-1"]).exit_code == 2
    assert [one["epsilon"] for one in seen] == [None, 8.0]
    assert seen[1] == {"epsilon": 8.0, "delta": 1e-6, "clip": 5.0, "colluders": 2}
