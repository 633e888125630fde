"""The node that leads is killed at each stage of a training round: one round is lost at most, and no bit of the others.

Nodes and learners are processes. The coordinator runs here, so that it can be told to the call when its node dies; its
end is that of a process: whatever it asks from then on has no answer, and what it knew is gone.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from tests.integration.learning_mesh import CONNECT_S, connected, define, eventually, fill, model, shown
from tests.integration.learning_replay import replay_of

from weftmesh.cli.dev_mesh import DevMesh, dev_mesh
from weftmesh.cli.dev_node import DevNode
from weftmesh.client.learning import LearningApi
from weftmesh.coordinator.backoff import Pauses
from weftmesh.coordinator.courier import LeadershipLostError
from weftmesh.coordinator.job_run import JobRun
from weftmesh.coordinator.mesh_rounds import Office
from weftmesh.core.aggregation.messages import Invitation, RosterAnnouncement, UnmaskRequest
from weftmesh.core.learning.model import RoundKind, RoundStage
from weftmesh.learning.v1 import learning_pb2
from weftmesh.learning.v1.learning_pb2 import JobSpec
from weftmesh.runtime.wire.envelopes import Work, unseal

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240), pytest.mark.asyncio(loop_scope="module")]

BASE = 3
"""The version whose training round is disturbed: the model has momentum by then."""
GOAL = 5
Event = type[object] | str
"""A question that was answered, by its type; or a call that returned, by its name."""


@dataclass(frozen=True)
class Moment:
    """When the leader dies.

    Attributes:
        event: after the first of these.
        before: or before it.
        loses: whether the round is lost.
        closes: whether its base version is.
    """

    event: Event
    before: bool = False
    loses: bool = True
    closes: bool = False


MOMENTS = {
    "keys": Moment(Invitation),
    "shares": Moment(RosterAnnouncement),
    "masked-input": Moment(Work),
    "roster-fixed": Moment("fix_roster"),
    "intent-committed": Moment("commit_intent", closes=True),
    "unmasking": Moment(UnmaskRequest, closes=True),
    "sum-known": Moment("put_model", before=True, closes=True),
    "model-stored": Moment("put_model", closes=True),
    "version-added": Moment("add_version", loses=False, closes=True),
}
IN_EVERY_RUN = {"masked-input", "intent-committed", "model-stored"}
STAGES = [pytest.param(name, marks=() if name in IN_EVERY_RUN else pytest.mark.slow, id=name) for name in MOMENTS]


class MortalLearning:
    """LearningApi of a node that is killed at a moment of the training round on BASE; nothing is answered after it.

    Attributes:
        dead: whether it was.
    """

    def __init__(self, learning: LearningApi, moment: Moment, kill: Callable[[], Awaitable[None]]) -> None:
        self._learning = learning
        self._moment = moment
        self._kill = kill
        self._armed = False
        self.dead = False

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._learning, name)

        async def call(*arguments: Any, **options: Any) -> Any:
            event = event_of(name, arguments)
            await self._live_on(event, before=True)
            answer = await method(*arguments, **options)
            await self._live_on(event, before=False)
            return answer

        return call

    async def propose(self, request: learning_pb2.ProposeRequest, **options: Any) -> learning_pb2.ProposeResponse:
        command = request.command
        if command.HasField("open_round"):
            opened = command.open_round
            self._armed = (opened.kind, opened.base_version) == (RoundKind.TRAINING, BASE)
        event = command.WhichOneof("kind") or ""
        await self._live_on(event, before=True)
        answer = await self._learning.propose(request, **options)
        await self._live_on(event, before=False)
        return answer

    async def _live_on(self, event: Event, *, before: bool) -> None:
        if not self.dead and self._armed and (event, before) == (self._moment.event, self._moment.before):
            self.dead = True
            await self._kill()
        if self.dead:
            raise LeadershipLostError("this node was killed")


def event_of(name: str, arguments: tuple[Any, ...]) -> Event:
    return type(unseal(arguments[0].payload)) if name == "exchange" else name


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[DevMesh]:
    async with dev_mesh(tmp_path_factory.mktemp("leaders"), 3, fsync=False, learners=True) as running:
        for number, node in enumerate(running.nodes.values()):
            await fill(node, number)
        yield running


async def carry_on(node: DevNode, job: str, mortal: Callable[[LearningApi], Any] = lambda learning: learning) -> bool:
    """Carry the job on from the node that leads, until there is nothing to do."""
    async with node.client() as client:
        duty = await anext(client.learning.watch_duty())
        assert duty.leads
        rng = secrets.SystemRandom()
        office = Office(mortal(client.learning), asyncio.get_running_loop(), duty.node, duty.term)
        return await JobRun(office, job, lambda: True, rng, Pauses(rng, first_s=0.2, most_s=0.5)).run()


async def leader_after(mesh: DevMesh, dead: str) -> str:
    """Who leads next; for a moment the others do not know that `dead` is."""
    leaders: list[str] = []

    async def elected() -> bool:
        leaders.append(await mesh.leader() or dead)
        return leaders[-1] != dead

    await eventually(elected, CONNECT_S)
    return leaders[-1]


@pytest.mark.parametrize("stage", STAGES)
async def test_a_leader_that_is_killed_costs_one_round_at_most_and_no_bit_of_the_others(
    mesh: DevMesh, tmp_path: Path, stage: str
) -> None:
    moment, job = MOMENTS[stage], f"killed-at-{stage}"
    leader = await mesh.settled()
    await connected(leader, mesh)
    await define(mesh.node(leader), job, JobSpec(head="effort", goal_version=GOAL, update_clip=2.0))
    with pytest.raises(LeadershipLostError):
        await carry_on(
            mesh.node(leader), job, lambda learning: MortalLearning(learning, moment, lambda: mesh.kill(leader))
        )
    next_leader = await leader_after(mesh, leader)
    await mesh.restart(leader)
    await mesh.settled()
    await connected(next_leader, mesh)
    assert await carry_on(mesh.node(next_leader), job)

    done = await shown(mesh.node(next_leader), job)
    lost = [one for one in done.rounds.values() if one.stage is RoundStage.ABANDONED]
    assert [(one.kind, one.base_version) for one in lost] == [(RoundKind.TRAINING, BASE)] * moment.loses
    disturbed = done.versions[BASE + 1]
    assert bool(disturbed.round_id) != (moment.loses and moment.closes), (
        "beside a closed version goes one without a sum"
    )
    trainings = sorted(base for kind, base in done.intents if kind is RoundKind.TRAINING)
    assert trainings == [2, BASE, BASE + 1], "one sum over each base version"
    replay = await replay_of(mesh, tmp_path)
    assert await model(mesh.node(next_leader), done, GOAL) == replay.model(done, GOAL)
