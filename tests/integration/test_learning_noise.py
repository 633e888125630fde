"""A job with a privacy budget over real nodes: every sum has noise, and when the budget is used up the job stops."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.integration.learning_mesh import coordinating, eventually, fill, model, shown, until

from weftmesh.cli.dev_mesh import DevMesh, dev_mesh
from weftmesh.cli.dev_node import DevNode
from weftmesh.cli.noise_text import budget_text, is_spent
from weftmesh.core.forecast.model_bytes import decode_model
from weftmesh.core.learning.model import NoisePolicy, RoundStage
from weftmesh.core.learning.privacy import sum_cost_nano_rho
from weftmesh.learning.v1 import command_pb2, learning_pb2
from weftmesh.learning.v1.learning_pb2 import JobSpec

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.asyncio(loop_scope="module"),
]

JOB, GOAL, SETTLE_S = "private", 4, 150.0
SUMS = 4
"""A count, two trainings, an evaluation."""
NOISE = NoisePolicy(clip=5.0, sigma=0.01, budget_nano_rho=1, delta=1e-6, colluders=1)
BUDGET_NANO_RHO = SUMS * sum_cost_nano_rho(NOISE)
NOISY_MIN = 15_000
"""Of 16,384 buckets noise is in nearly every one; ten words and their pairs fill a hundred."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[DevMesh]:
    async with dev_mesh(tmp_path_factory.mktemp("noise"), 3, fsync=False, learners=True) as running:
        for number, node in enumerate(running.nodes.values()):
            await fill(node, number)
        yield running


async def define(node: DevNode, goal: int, version: int = 0) -> None:
    noise = command_pb2.NoisePolicy(
        clip=NOISE.clip, sigma=NOISE.sigma, budget_nano_rho=BUDGET_NANO_RHO, delta=NOISE.delta, colluders=1
    )
    definition = command_pb2.DefineJob(
        job=JOB,
        contributors_floor=3,
        threshold_percent=60,
        spec=JobSpec(head="effort", goal_version=goal).SerializeToString(),
        noise=noise,
        version=version,
    )
    async with node.client() as client:
        await client.learning.change_learning(learning_pb2.ChangeLearningRequest(define_job=definition))


async def test_a_job_trains_with_noise_to_its_goal_and_stops_when_its_budget_is_used_up(mesh: DevMesh) -> None:
    async with coordinating(mesh) as coordinators:
        await define(mesh.first, GOAL)
        done = await until(mesh.first, JOB, lambda state: GOAL in state.evaluations, SETTLE_S)
        assert [one.stage for one in done.rounds.values()] == [RoundStage.DONE] * SUMS
        assert done.job.spent_nano_rho == BUDGET_NANO_RHO == sum(one.nano_rho for one in done.intents.values())
        filled = sum(weight != 0 for weight in decode_model(await model(mesh.first, done, GOAL)).weights)
        assert filled > NOISY_MIN
        await define(mesh.first, GOAL + 2, done.job.version)

        async def stopped() -> bool:
            return f"job {JOB} has used up its privacy budget" in coordinators.logs()

        await eventually(stopped, SETTLE_S)
    after = await shown(mesh.first, JOB)
    assert (after.job.newest_version, after.job.spent_nano_rho) == (GOAL, BUDGET_NANO_RHO)
    async with mesh.first.client() as client:
        (row,) = (await client.learning.get_learning(learning_pb2.GetLearningRequest(job=JOB))).jobs
    assert is_spent(row)
    assert "0 more sums" in budget_text(row)
