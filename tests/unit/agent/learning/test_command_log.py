"""A command reaches the log once, whatever becomes of single tries, and only those may write it whose it is."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.fakes.raft_engine import InMemoryEngine
from tests.unit.agent.learning.bench import JOB, ROUND, call, replica_of_one

from weftmesh.agent.learning import command_log
from weftmesh.agent.learning.command_log import CommandLog
from weftmesh.agent.learning.proposing import Proposals
from weftmesh.agent.learning.replica import Replica
from weftmesh.agent.raft.engine import Role
from weftmesh.core.board.outcomes import OutcomeKind
from weftmesh.core.clock import HybridClock
from weftmesh.core.errors import (
    AlreadyExistsError,
    ForbiddenError,
    InvalidInputError,
    NoQuorumError,
    PreconditionError,
    UnknownOutcomeError,
    WeftmeshError,
)
from weftmesh.learning.v1 import learning_pb2
from weftmesh.learning.v1.command_pb2 import (
    ActivateVersion,
    AddVersion,
    Coordinator,
    DefineJob,
    LearningCommand,
    SetOptOut,
    SwitchJob,
)

SHA256 = bytes(range(32))
HERE = Coordinator(node="n1", term=1)


class Bench:
    """A node that leads, and may write."""

    def __init__(self) -> None:
        self.replica: Replica
        self.engine: InMemoryEngine
        self.replica, self.engine = replica_of_one()
        self.proposals = Proposals("n1", self.replica, CommandLog(self.engine), HybridClock())

    async def change(self, request_id: str = "", **what: Any) -> learning_pb2.ProposeResponse:
        request = learning_pb2.ChangeLearningRequest(request_id=request_id, **what)
        return await self.proposals.change(request, call())

    async def define(self, request_id: str = "", floor: int = 3) -> learning_pb2.ProposeResponse:
        job = DefineJob(job=JOB, contributors_floor=floor, threshold_percent=60)
        return await self.change(request_id, define_job=job)

    async def propose(self, remaining_s: float = 5.0, **what: Any) -> learning_pb2.ProposeResponse:
        return await self.proposals.propose(LearningCommand(**what), call(remaining_s))


def added(coordinator: Coordinator = HERE) -> AddVersion:
    return AddVersion(job=JOB, coordinator=coordinator, sha256=SHA256, size_bytes=10, blob_holders=1)


async def test_a_version_of_the_leader_is_added_in_its_name() -> None:
    bench = Bench()
    await bench.define()
    answer = await bench.propose(add_version=added(), request_id=ROUND, actor="mallory@n9", stamp=1)
    assert (answer.kind, answer.subject, answer.current_version) == (OutcomeKind.APPLIED, JOB, 1)
    (_, event) = bench.replica.learning.events_since(0) or ()
    assert event.actor == "ann@n1"
    assert event.stamp > 1


async def test_a_lost_try_is_made_again_and_counts_once() -> None:
    bench = Bench()
    await bench.define()
    bench.engine.fail_before.append(NoQuorumError("no leader"))
    bench.engine.fail_after.extend([UnknownOutcomeError("the leader is gone"), None])
    answer = await bench.propose(add_version=added())
    assert (answer.kind, answer.current_version) == (OutcomeKind.APPLIED, 1)
    assert len(bench.engine.proposals) == 4
    assert len(bench.replica.learning.versions(JOB)) == 1


async def test_a_retry_under_its_request_id_gets_the_first_answer() -> None:
    bench = Bench()
    request_id = "00000000-0000-0000-0000-00000000000a"
    first = await bench.define(request_id)
    assert await bench.define(request_id) == first
    with pytest.raises(InvalidInputError) as reused:
        await bench.define(request_id, floor=4)
    assert reused.value.reason == "REQUEST_REUSED"


async def test_without_a_majority_it_says_whether_something_may_have_happened() -> None:
    bench = Bench()
    await bench.define()
    bench.engine.fail_before.extend([NoQuorumError("no leader")] * 100)
    with pytest.raises(NoQuorumError, match="nothing was changed"):
        await bench.propose(0.3, add_version=added())
    bench.engine.fail_before.clear()
    bench.engine.fail_after.append(UnknownOutcomeError("the leader is gone"))
    bench.engine.fail_before.extend([None, *[NoQuorumError("no leader")] * 100])
    with pytest.raises(UnknownOutcomeError, match="same request id"):
        await bench.propose(0.3, add_version=added())


async def test_what_the_machine_refuses_is_an_error_with_its_reason() -> None:
    bench = Bench()
    with pytest.raises(WeftmeshError) as unknown:
        await bench.propose(add_version=added())
    assert unknown.value.reason == "NO_SUCH_JOB"
    await bench.define()
    with pytest.raises(AlreadyExistsError) as conflict:
        await bench.define(floor=5)
    assert conflict.value.reason == "VERSION_CONFLICT"
    assert conflict.value.metadata["current_version"] == "1"


@pytest.mark.parametrize(("node", "term"), [("n2", 1), ("n1", 2), ("n1", 0)])
async def test_only_the_node_that_leads_now_writes_as_coordinator(node: str, term: int) -> None:
    bench = Bench()
    await bench.define()
    with pytest.raises((ForbiddenError, PreconditionError), match=r"coordinator|does not lead"):
        await bench.propose(add_version=added(Coordinator(node=node, term=term)))
    assert not bench.replica.learning.versions(JOB)


@pytest.mark.parametrize(("role", "quorum"), [(Role.FOLLOWER, True), (Role.LEADER, False)])
async def test_a_node_that_follows_or_lost_its_majority_writes_nothing_as_coordinator(role: Role, quorum: bool) -> None:
    bench = Bench()
    await bench.define()
    bench.engine.role, bench.engine.quorum = role, quorum
    with pytest.raises(PreconditionError) as refused:
        await bench.propose(add_version=added())
    assert refused.value.reason == "STALE_TERM"


async def test_people_and_coordinators_have_commands_of_their_own() -> None:
    bench = Bench()
    await bench.define()
    with pytest.raises(InvalidInputError, match="no coordinator's command"):
        await bench.propose(switch_job=SwitchJob(job=JOB))
    with pytest.raises(InvalidInputError, match="no coordinator's command"):
        await bench.propose()
    with pytest.raises(InvalidInputError, match="names no change"):
        await bench.change()
    with pytest.raises(InvalidInputError, match="names none"):
        await bench.change(activate_version=ActivateVersion(job=JOB, version=1, coordinator=HERE))
    with pytest.raises(InvalidInputError, match="not a UUID"):
        await bench.define("nonsense")


async def test_an_opt_out_is_of_the_own_node() -> None:
    bench = Bench()
    await bench.change(set_opt_out=SetOptOut(out=True, why="no"))
    assert bench.replica.learning.is_opted_out("n1", JOB)
    with pytest.raises(ForbiddenError) as refused:
        await bench.change(set_opt_out=SetOptOut(node="n2", out=True))
    assert refused.value.reason == "NOT_THE_OWNER"


async def test_too_many_commands_at_once_are_refused() -> None:
    bench = Bench()
    await bench.define()
    bench.engine.gate.clear()
    tasks = [asyncio.create_task(bench.propose(add_version=added())) for _ in range(command_log.WAITING_MAX)]
    await asyncio.sleep(0.01)
    with pytest.raises(WeftmeshError, match="wait on this node already"):
        await bench.propose(add_version=added())
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
