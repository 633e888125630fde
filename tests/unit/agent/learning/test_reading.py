"""What a node says of learning is what its own replica holds, and it says so as soon as it does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.fakes.raft_engine import InMemoryEngine
from tests.unit.agent.learning.bench import JOB, PENDING_MAX, call, mesh_home
from tests.unit.core.learning.facts import (
    BETTER,
    NODES,
    ROSTER,
    define,
    evaluation,
    header,
    intent,
    opening,
    result,
    round_id,
    seed,
)

from weftmesh.agent.board.homes import MESH, Home, Homes
from weftmesh.agent.board.machines import LogMachines
from weftmesh.agent.learning.duty import WATCHERS_MAX, DutyWatch
from weftmesh.agent.learning.reading import Reading
from weftmesh.agent.learning.replica import Replica
from weftmesh.agent.learning.training_projects import TrainingProjects
from weftmesh.agent.raft.engine import MemberRole, Role
from weftmesh.core.board.commands import CreateProject
from weftmesh.core.clock import HybridClock
from weftmesh.core.errors import InvalidInputError, OutOfRangeError, OverloadedError
from weftmesh.core.learning.commands import AbandonRound, Command, SetOptOut
from weftmesh.core.learning.model import Coordinator, RoundKind
from weftmesh.core.learning.ownership import owner_of
from weftmesh.learning.v1 import learning_pb2
from weftmesh.mesh.v1 import raft_pb2
from weftmesh.runtime.wire.commands import encode_command
from weftmesh.runtime.wire.learning_commands import encode_learning_command
from weftmesh.runtime.wire.learning_views import learning_view

FIRST = Coordinator("n1", 5)


class Node:
    """A node n1 among n1 to n5, whose replica a test moves on by hand."""

    def __init__(self) -> None:
        self.mesh, self.engine = mesh_home()
        machine = LogMachines("node:n1", HybridClock())
        self.local = Home("node:n1", machine, InMemoryEngine(machine), PENDING_MAX)
        self.homes = Homes(self.mesh, self.local)
        self.replica = Replica(self.mesh)
        self.reading = Reading("n1", self.replica, TrainingProjects("n1", self.homes, self.replica))

    async def join(self) -> None:
        for name in NODES[1:]:
            await self.engine.change_member(name, MemberRole.VOTER, "127.0.0.1:1", 1.0)
        self.engine.connected = set(NODES)

    async def apply(self, *commands: Command) -> None:
        for command in commands:
            item = raft_pb2.MachineCommand(learning=encode_learning_command(command))
            applied = await self.engine.propose(raft_pb2.MachineCommands(commands=[item]).SerializeToString(), 1.0)
            assert applied.result[0].ok, applied.result[0].message

    async def make_project(self, project_id: str, home: Home, of: str = MESH) -> None:
        command = encode_command(CreateProject(header(), project_id, project_id, of))
        item = raft_pb2.MachineCommand(board=command)
        applied = await home.engine.propose(raft_pb2.MachineCommands(commands=[item]).SerializeToString(), 1.0)
        assert applied.result[0].ok, applied.result[0].message

    async def view(self, job: str = "", min_revision: int = 0, remaining_s: float = 5.0) -> learning_pb2.Learning:
        request = learning_pb2.GetLearningRequest(job=job, min_revision=min_revision)
        return await self.reading.learning(request, call(remaining_s))

    async def base(self, version: int, wait_ms: int = 0, round_id: bytes = b"") -> learning_pb2.Learning:
        request = learning_pb2.GetLearningRequest(job=JOB, base_version=version, wait_ms=wait_ms, round_id=round_id)
        return await self.reading.learning(request, call())

    async def intent(self, number: int, base: int = 1, timeout_ms: int = 5_000) -> learning_pb2.AwaitIntentResponse:
        request = learning_pb2.AwaitIntentRequest(
            job=JOB, round_id=round_id(number), base_version=base, round_kind=1, timeout_ms=timeout_ms
        )
        return await self.reading.intent(request, call())


@pytest_asyncio.fixture
async def node() -> AsyncIterator[Node]:
    made = Node()
    await made.join()
    await made.apply(define(), seed())
    yield made


async def test_the_view_holds_what_the_machine_knows(node: Node) -> None:
    await node.apply(opening(1), intent(1), result(1))
    await node.apply(opening(2, base=2, kind=RoundKind.EVALUATION))
    await node.apply(
        intent(2, base=2), evaluation(2), SetOptOut(header(), "n4", "other-job"), SetOptOut(header(), "n5")
    )
    view = await node.view(JOB)
    assert [(one.name, one.newest_version) for one in view.jobs] == [(JOB, 2)]
    assert [one.id for one in view.rounds] == [round_id(1), round_id(2)]
    assert [(one.number, one.parent) for one in view.versions] == [(1, 0), (2, 1)]
    assert [(one.round_id, one.roster_sha256) for one in view.intents] == [(round_id(1), ROSTER), (round_id(2), ROSTER)]
    assert [one.heads[0].model_loss for one in view.evaluations] == [BETTER[0].model_loss]
    assert [one.node for one in view.opt_outs] == ["n5"]
    assert [one.node for one in (await node.view()).opt_outs] == ["n4", "n5"]
    assert view.events[-1].revision == view.revision
    assert view.contributors == ["n1", "n2", "n3", "n4"]


async def test_an_unknown_job_has_an_empty_view(node: Node) -> None:
    view = await node.view("no-such-job")
    assert not [*view.jobs, *view.rounds, *view.versions, *view.events]


async def test_a_view_is_bounded(node: Node) -> None:
    view = learning_view(node.replica.learning, JOB, 1)
    assert (len(view.events), len(view.versions)) == (1, 1)


async def test_a_learner_is_told_of_one_base_version_and_what_was_settled_over_it(node: Node) -> None:
    await node.apply(opening(1), intent(1), result(1))
    await node.apply(opening(2, base=2), intent(2, base=2), SetOptOut(header(), "n5"))
    view = await node.base(1)
    assert [one.name for one in view.jobs] == [JOB]
    assert [one.number for one in view.versions] == [1]
    assert [(one.base_version, one.round_id) for one in view.intents] == [(1, round_id(1))]
    assert [one.node for one in view.opt_outs] == ["n5"]
    assert [one.id for one in view.rounds] == [round_id(2)], "the one under way"
    assert not [*view.events, *view.contributors]
    assert (view.term, view.revision) == (node.engine.term, node.replica.learning.revision)
    assert not (await node.base(0)).versions


async def test_a_base_version_that_is_not_known_yet_is_waited_for(node: Node) -> None:
    assert not (await node.base(2, wait_ms=30)).versions
    waiting = asyncio.create_task(node.base(2, wait_ms=30_000))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    await node.apply(opening(1), intent(1), result(1))
    assert [one.number for one in (await waiting).versions] == [2]


async def test_a_round_that_is_not_under_way_yet_is_waited_for(node: Node) -> None:
    assert not (await node.base(1, 30, round_id(1))).jobs[0].round_id
    waiting = asyncio.create_task(node.base(1, 30_000, round_id(1)))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    await node.apply(opening(1))
    assert (await waiting).jobs[0].round_id == round_id(1)


async def test_contributors_are_connected_members(node: Node) -> None:
    node.engine.connected = {"n2", "n9"}
    assert (await node.view(JOB)).contributors == ["n1", "n2"]


async def test_a_reader_waits_for_the_revision_that_it_knows_of(node: Node) -> None:
    waiting = asyncio.create_task(node.view(JOB, min_revision=3))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    await node.apply(opening(1))
    assert (await waiting).revision == 3
    with pytest.raises(OutOfRangeError, match="revision 9"):
        await node.view(JOB, min_revision=9, remaining_s=0.05)
    assert node.replica.waiters == 0


async def test_an_intent_is_shown_as_soon_as_the_replica_has_it(node: Node) -> None:
    await node.apply(opening(1))
    waiting = asyncio.create_task(node.intent(1))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    await node.apply(intent(1, active=NODES[:4], dead=NODES[4:]))
    shown = (await waiting).intent
    assert (shown.round_id, list(shown.active), list(shown.dead)) == (round_id(1), list(NODES[:4]), list(NODES[4:]))


async def test_there_is_no_intent_of_a_round_that_was_given_up_or_whose_base_is_closed(node: Node) -> None:
    await node.apply(opening(1))
    waiting = asyncio.create_task(node.intent(1))
    await asyncio.sleep(0.01)
    await node.apply(AbandonRound(header(), JOB, FIRST, round_id(1), "too slow"))
    assert not (await waiting).HasField("intent")
    await node.apply(opening(2), intent(2))
    assert not (await node.intent(3)).HasField("intent")
    assert (await node.intent(2)).HasField("intent")


async def test_an_intent_that_does_not_come_is_waited_for_as_long_as_was_asked(node: Node) -> None:
    assert not (await node.intent(1, timeout_ms=30)).HasField("intent")
    with pytest.raises(InvalidInputError, match="round_kind"):
        await node.reading.intent(learning_pb2.AwaitIntentRequest(job=JOB, round_kind=9), call())


# Who trains on what


async def test_a_node_trains_on_its_own_projects_and_its_share_of_the_mesh(node: Node) -> None:
    shared = [f"P{chr(65 + number)}" for number in range(26)]
    for project_id in shared:
        await node.make_project(project_id, node.mesh)
    await node.make_project("OWN", node.mesh, of="node:n1")
    await node.make_project("OWN", node.local, of="node:n1")
    await node.make_project("OTHERS", node.mesh, of="node:n2")
    mine = [one for one in shared if owner_of(one, NODES) == "n1"]
    assert 0 < len(mine) < len(shared)
    assert list((await node.view(JOB)).trained_projects) == sorted([*mine, "OWN"])
    await node.apply(opening(1, nodes=("n1", "n2", "n3")))
    of_round = [one for one in shared if owner_of(one, ("n1", "n2", "n3")) == "n1"]
    assert list((await node.view(JOB)).trained_projects) == sorted([*of_round, "OWN"])
    assert set(mine) < set(of_round)


# Duty


async def test_duty_is_told_at_once_and_with_each_change(node: Node) -> None:
    duties = DutyWatch(node.replica).follow()
    first = await anext(duties)
    assert (first.leads, first.term, first.node, first.leader) == (True, 1, "n1", "n1")
    following = asyncio.ensure_future(anext(duties))
    await node.apply(opening(1))
    await asyncio.sleep(0.01)
    assert not following.done(), "what does not concern duty is not told"
    node.engine.quorum = False
    node.engine.tell()
    assert not (await following).leads
    node.engine.role, node.engine.quorum, node.engine.term, node.engine.leader = Role.FOLLOWER, True, 2, "n2"
    node.engine.tell()
    last = await anext(duties)
    assert (last.leads, last.term, last.leader) == (False, 2, "n2")


async def test_watchers_of_duty_are_bounded_and_leave(node: Node) -> None:
    watch = DutyWatch(node.replica)
    followers = [watch.follow() for _ in range(WATCHERS_MAX)]
    for follower in followers:
        await anext(follower)
    with pytest.raises(OverloadedError):
        await anext(watch.follow())
    await followers[0].aclose()  # type: ignore[attr-defined]  # it is a generator
    assert (await anext(watch.follow())).leads
