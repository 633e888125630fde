"""Jobs carried on by real coordinators beside real nodes with real learners, whoever of them dies."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from tests.integration.learning_mesh import (
    Coordinators,
    connected,
    coordinating,
    define,
    eventually,
    fill,
    model,
    shown,
    until,
)
from tests.integration.learning_replay import replay_of

from weftmesh.cli.dev_mesh import DevMesh, dev_mesh
from weftmesh.client.learning import LearningApi
from weftmesh.coordinator.backoff import Pauses
from weftmesh.coordinator.job_run import JobRun
from weftmesh.coordinator.mesh_rounds import Office
from weftmesh.core.aggregation.messages import Invitation, RosterAnnouncement, UnmaskRequest
from weftmesh.core.errors import WeftmeshError
from weftmesh.core.learning.model import RoundKind, RoundStage, VersionStage
from weftmesh.learning.v1 import learning_pb2
from weftmesh.learning.v1.learning_pb2 import JobSpec
from weftmesh.runtime.wire.envelopes import Work, unseal

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300), pytest.mark.asyncio(loop_scope="module")]

SETTLE_S = 120.0
CLIP = 2.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[DevMesh]:
    async with dev_mesh(tmp_path_factory.mktemp("rounds"), 3, fsync=False, learners=True) as running:
        for number, node in enumerate(running.nodes.values()):
            await fill(node, number)
        yield running


def spec(goal_version: int, evaluate_every: int = 0) -> JobSpec:
    return JobSpec(head="effort", goal_version=goal_version, evaluate_every=evaluate_every, update_clip=CLIP)


async def test_a_job_reaches_its_goal_and_the_version_that_beats_the_median_is_active(
    mesh: DevMesh, tmp_path: Path
) -> None:
    async with coordinating(mesh) as coordinators:
        await define(mesh.first, "plain", spec(6, evaluate_every=4))
        done = await until(mesh.first, "plain", lambda state: state.job.active_version == 6, SETTLE_S)
        log = coordinators.logs()
    assert [one.stage for one in done.rounds.values()] == [RoundStage.DONE] * 7, "a count, 4 trainings, 2 evaluations"
    assert done.versions[4].stage is VersionStage.SUPERSEDED
    (judged,) = done.evaluations[6].heads
    assert judged.model_loss < judged.baseline_loss
    assert judged.examples == 3 * 8
    replay = await replay_of(mesh, tmp_path)
    assert await model(mesh.first, done, 6) == replay.model(done, 6)
    assert "login" not in log, "no word of a task is logged"


async def test_a_leader_that_is_killed_costs_at_most_one_round_and_no_bit_of_the_others(
    mesh: DevMesh, tmp_path: Path
) -> None:
    goal = 14
    async with coordinating(mesh) as coordinators:
        leader = await mesh.settled()
        await define(mesh.node(leader), "killed", spec(goal))
        await until(mesh.node(leader), "killed", lambda state: state.job.newest_version >= 5, SETTLE_S)
        await mesh.kill(leader)
        other = next(node for node in mesh.nodes.values() if node.name != leader)
        why = "takes at least 3 contributors and 2 can be asked now"
        await eventually(lambda: said(coordinators, why), SETTLE_S)
        await mesh.restart(leader)
        done = await until(other, "killed", lambda state: goal in state.evaluations, SETTLE_S)
    before = [one for one in done.rounds.values() if one.coordinator.node == leader and one.coordinator.term == 1]
    after = [one for one in done.rounds.values() if one.coordinator.term > 1]
    assert before
    assert after
    assert len([one for one in before if one.stage is RoundStage.ABANDONED]) <= 1
    closed = {one.base_version for one in done.intents.values() if one.kind is RoundKind.TRAINING}
    lost = closed - {one.base_version for one in done.rounds.values() if one.stage is RoundStage.DONE}
    assert len(lost) <= 1
    replay = await replay_of(mesh, tmp_path)
    assert await model(other, done, goal) == replay.model(done, goal)


async def test_a_coordinator_that_is_killed_leaves_no_child_and_the_next_one_goes_on(
    mesh: DevMesh, tmp_path: Path
) -> None:
    goal = 9
    async with coordinating(mesh) as coordinators:
        leader = await mesh.settled()
        await define(mesh.node(leader), "restarted", spec(goal))
        await until(mesh.node(leader), "restarted", lambda state: state.job.newest_version >= 4, SETTLE_S)
        assert children(mesh)
        coordinators.kill(leader)
        await eventually(lambda: childless(mesh), 5.0)
        coordinators.start(leader)
        done = await until(mesh.node(leader), "restarted", lambda state: goal in state.evaluations, SETTLE_S)
    abandoned = [one for one in done.rounds.values() if one.stage is RoundStage.ABANDONED]
    assert len(abandoned) <= 1
    replay = await replay_of(mesh, tmp_path)
    assert await model(mesh.first, done, goal) == replay.model(done, goal)


class DeadlyLearning:
    """LearningApi that kills a node before a question of some kind reaches it."""

    def __init__(self, learning: LearningApi, mesh: DevMesh, node: str, question: type[object]) -> None:
        self._learning = learning
        self._mesh = mesh
        self._node = node
        self._question = question
        self.killed = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._learning, name)

    async def exchange(self, request: learning_pb2.ExchangeRequest) -> learning_pb2.ExchangeResponse:
        if request.node == self._node and not self.killed and isinstance(unseal(request.payload), self._question):
            self.killed = True
            await self._mesh.kill(self._node)
        return await self._learning.exchange(request)


@pytest.mark.parametrize("question", [Invitation, RosterAnnouncement, Work, UnmaskRequest])
async def test_a_node_that_dies_in_a_round_spoils_that_one_unless_its_vector_is_there(
    mesh: DevMesh, question: type[object]
) -> None:
    leader = mesh.node(await mesh.settled())
    victim = next(name for name in mesh.nodes if name != leader.name)
    job = f"dies-at-{question.__name__.lower()}"
    await define(leader, job, spec(4))
    async with leader.client() as client:
        duty = await anext(client.learning.watch_duty())
        deadly = DeadlyLearning(client.learning, mesh, victim, question)
        loop = asyncio.get_running_loop()

        def run(learning: Any) -> JobRun:
            rng = secrets.SystemRandom()
            office = Office(learning, loop, duty.node, duty.term)
            return JobRun(office, job, lambda: True, rng, Pauses(rng, first_s=0.5, most_s=1.0))

        try:
            assert await run(deadly).run(), "it rests, since two contributors are too few"
        except WeftmeshError:
            assert question is not UnmaskRequest
        assert deadly.killed
        state = await shown(leader, job)
        first = next(iter(state.rounds.values()))
        if question is UnmaskRequest:
            assert (first.stage, state.job.newest_version) == (RoundStage.DONE, 2)
        else:
            assert (first.stage, state.job.newest_version) == (RoundStage.ABANDONED, 1)
            assert first.why
            assert not state.intents
        await mesh.restart(victim)
        await mesh.settled()
        await connected(leader.name, mesh)
        assert await run(client.learning).run()
        state = await shown(leader, job)
        assert state.job.newest_version == 4
        assert len(state.intents) == 4, "one count, two trainings, one evaluation, each once"


async def said(coordinators: Coordinators, why: str) -> bool:
    """Whether some coordinator has said so."""
    return why in coordinators.logs()


async def childless(mesh: DevMesh) -> bool:
    """Whether no coordinator of this mesh has a child."""
    return not children(mesh)


def children(mesh: DevMesh) -> list[int]:
    """The process ids of the children of this mesh's coordinators."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"weftmesh.coordinator.child" in words and any(os.fsencode(mesh.directory) in word for word in words):
            found.append(int(path.parent.name))
    return found
