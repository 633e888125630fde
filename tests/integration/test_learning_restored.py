"""A mesh restored from an older backup: its log forgot rounds that contributors remember, and models are gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.integration.learning_mesh import coordinating, define, fill, until

from weftmesh.cli.dev_mesh import DevMesh, dev_mesh
from weftmesh.coordinator.registry import JobState
from weftmesh.core.aggregation.memory import ContributorMemory
from weftmesh.core.learning.model import AbandonCause, RoundKind, RoundStage
from weftmesh.core.learning.sum_names import sum_name
from weftmesh.learner.memory_file import MemoryFile
from weftmesh.learning.v1.learning_pb2 import JobSpec
from weftmesh.runtime.files import make_private_directory

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.timeout(240),
    pytest.mark.asyncio(loop_scope="module"),
]

SETTLE_S = 120.0
JOB = "effort"
ANSWERED = {RoundKind.STATISTICS: (1,), RoundKind.TRAINING: (3, 4)}
"""Base versions that two of three nodes helped to unmask after the backup."""
GOAL = 6


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[DevMesh]:
    memory = ContributorMemory()
    for kind, versions in ANSWERED.items():
        for version in versions:
            memory = memory.answering(sum_name(JOB, kind), version)
    async with dev_mesh(tmp_path_factory.mktemp("restored"), 3, fsync=False, learners=True) as running:
        for number, node in enumerate(running.nodes.values()):
            await fill(node, number)
            if number:
                await asyncio.to_thread(make_private_directory, node.learner_directory)
                await asyncio.to_thread(MemoryFile(node.learner_directory).save, memory)
        yield running


async def wanted(mesh: DevMesh, goal: int, version: int = 0) -> JobState:
    """The job once its goal is reached and judged."""
    await define(mesh.first, JOB, JobSpec(head="effort", goal_version=goal), version)
    return await until(mesh.first, JOB, lambda state: goal in state.evaluations, SETTLE_S)


async def test_a_job_passes_base_versions_that_contributors_remember_and_reaches_its_goal(mesh: DevMesh) -> None:
    async with coordinating(mesh):
        done = await wanted(mesh, GOAL)
    refused = [one for one in done.rounds.values() if one.cause is AbandonCause.ANSWERED_BEFORE]
    assert [(one.kind, one.base_version) for one in refused] == [
        (RoundKind.STATISTICS, 1),
        (RoundKind.TRAINING, 3),
        (RoundKind.TRAINING, 4),
    ]
    assert all(one.stage is RoundStage.ABANDONED for one in refused)
    assert [one.contributors for _, one in sorted(done.versions.items())] == [0, 0, 3, 0, 0, 3]
    assert len(done.rounds) == len(refused) + 3, "a count, a training and an evaluation, each at the first attempt"


async def test_a_training_whose_models_are_gone_begins_anew(mesh: DevMesh) -> None:
    for node in mesh.nodes.values():
        for path in (node.directory / "data" / "models").iterdir():
            path.unlink()
    async with coordinating(mesh):
        done = await wanted(mesh, GOAL + 3, version=1)
    anew = [done.versions[number] for number in range(GOAL + 1, GOAL + 4)]
    assert [(one.parent, one.contributors) for one in anew] == [(0, 0), (GOAL + 1, 3), (GOAL + 2, 3)]
