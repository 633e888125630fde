"""A question reaches the learner of the node that it names, and what leaves a node is in its ledger first."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from tests.fakes.echo_learner import attending, echo, refuse
from tests.unit.agent.learning.bench import JOB, BenchNode, bench, question

from weftmesh.agent.raft.engine import Role
from weftmesh.core.errors import WeftmeshError
from weftmesh.core.privacy.egress import EgressClass
from weftmesh.learning.v1 import learning_pb2, learning_pb2_grpc
from weftmesh.learning.v1.command_pb2 import DefineJob, SetOptOut, SwitchJob
from weftmesh.runtime.identity.credentials import open_channel
from weftmesh.runtime.rpc import from_rpc_error

DEFINE = DefineJob(job=JOB, contributors_floor=3, threshold_percent=60)


@pytest_asyncio.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[list[BenchNode]]:
    async with bench(tmp_path) as running:
        for node in running:
            await change(node, define_job=DEFINE)
        yield running


async def change(node: BenchNode, **what: Any) -> learning_pb2.ProposeResponse:
    async with node.stub() as stub:
        answer: learning_pb2.ProposeResponse = await told(
            stub.ChangeLearning(learning_pb2.ChangeLearningRequest(**what), timeout=10)
        )
        return answer


async def told(answer: Any) -> Any:
    """The answer of a call, or what it was refused with as one of our errors."""
    try:
        return await answer
    except grpc.aio.AioRpcError as error:
        raise from_rpc_error(error) from error


async def exchange(node: BenchNode, request: learning_pb2.ExchangeRequest) -> bytes:
    async with node.stub() as stub:
        return bytes((await told(stub.Exchange(request, timeout=10))).payload)


async def exchange_as_member(node: BenchNode, to: BenchNode, request: learning_pb2.ExchangeRequest) -> bytes:
    """As a node does that breaks the rules of its own side."""
    async with open_channel(node.identity, to.name, to.address) as channel:
        stub: Any = learning_pb2_grpc.LearningPeerServiceStub(channel)
        return bytes((await told(stub.Exchange(request, timeout=10))).payload)


async def refused(answer: Any) -> str:
    with pytest.raises(WeftmeshError) as error:
        await answer
    return error.value.reason


async def test_a_question_crosses_the_mesh_and_both_nodes_record_what_left(nodes: list[BenchNode]) -> None:
    first, second, _ = nodes
    async with second.stub() as stub, attending(stub) as learner:
        assert await exchange(first, question("n2")) == b"echo question"
    assert (learner.questions[0].job, learner.questions[0].coordinator.node) == (JOB, "n1")
    (asked,), (answered,) = first.ledger.egresses, second.ledger.egresses
    assert (asked.peer, asked.egress_class, asked.sha256) == (
        "n2",
        EgressClass.LEARNING,
        hashlib.sha256(b"question").digest(),
    )
    assert (answered.peer, answered.size_bytes, answered.sha256) == (
        "n1",
        len(b"echo question"),
        hashlib.sha256(b"echo question").digest(),
    )
    assert answered.why == f"effort: answer of round {bytes(range(16)).hex()} (unknown kind)"


async def test_a_question_to_the_own_learner_leaves_nothing(nodes: list[BenchNode]) -> None:
    async with nodes[0].stub() as stub, attending(stub):
        assert await exchange(nodes[0], question("n1")) == b"echo question"
    assert nodes[0].ledger.egresses == []


async def test_without_a_record_there_is_no_question_and_no_answer(nodes: list[BenchNode]) -> None:
    first, second, _ = nodes
    async with second.stub() as stub, attending(stub) as learner:
        first.ledger.broken = True
        assert await refused(exchange(first, question("n2"))) == "EGRESS_NOT_RECORDED"
        assert learner.questions == []
        first.ledger.broken, second.ledger.broken = False, True
        assert await refused(exchange(first, question("n2"))) == "EGRESS_NOT_RECORDED"


async def test_why_a_learner_refuses_leaves_the_node_too_and_is_recorded(nodes: list[BenchNode]) -> None:
    first, second, _ = nodes
    async with second.stub() as stub, attending(stub, refuse):
        assert await refused(exchange(first, question("n2"))) == "LEARNER_REFUSED"
    (record,) = second.ledger.egresses
    assert record.sha256 == hashlib.sha256(b"the model is too large for this node").digest()
    assert "refusal" in record.why


async def test_a_member_that_does_not_lead_is_not_heeded(nodes: list[BenchNode]) -> None:
    _, second, third = nodes
    assert await refused(exchange_as_member(third, second, question("n2", by="n3"))) == "WRONG_COORDINATOR"
    assert await refused(exchange_as_member(third, second, question("n2", by="n1"))) == "WRONG_COORDINATOR"
    assert await refused(exchange(third, question("n2", by="n3"))) == "WRONG_COORDINATOR"


async def test_a_term_that_is_over_or_not_known_is_refused(nodes: list[BenchNode]) -> None:
    first, second, _ = nodes
    assert await refused(exchange_as_member(first, second, question("n2", term=2))) == "NOT_KNOWN_YET"
    second.engine.term = 3
    second.engine.tell()
    assert await refused(exchange_as_member(first, second, question("n2"))) == "STALE_TERM"


async def test_a_node_that_lags_hears_of_the_new_leader_before_it_refuses_it(nodes: list[BenchNode]) -> None:
    first, second, third = nodes
    third.engine.role, third.engine.term, third.engine.leader = Role.LEADER, 2, "n3"
    async with second.stub() as stub, attending(stub):
        answer = asyncio.create_task(exchange(third, question("n2", by="n3", term=2)))
        await asyncio.sleep(0.1)
        assert not answer.done()
        second.engine.term, second.engine.leader = 2, "n3"
        second.engine.tell()
        assert await answer == b"echo question"
    assert await refused(exchange(first, question("n3"))) == "STALE_TERM"


async def test_an_owner_keeps_a_node_out_and_lets_it_in_again(nodes: list[BenchNode]) -> None:
    first, second, _ = nodes
    async with second.stub() as stub, attending(stub):
        await change(second, set_opt_out=SetOptOut(out=True, why="not here"))
        assert await refused(exchange(first, question("n2"))) == "OPTED_OUT"
        assert await refused(change(second, set_opt_out=SetOptOut(node="n1", out=True))) == "NOT_THE_OWNER"
        await change(second, set_opt_out=SetOptOut(out=False))
        assert await exchange(first, question("n2")) == b"echo question"


async def test_a_job_that_is_unknown_or_off_is_refused(nodes: list[BenchNode]) -> None:
    first = nodes[0]
    unknown = question("n1")
    unknown.job = "no-such-job"
    assert await refused(exchange(first, unknown)) == "NO_SUCH_JOB"
    await change(first, switch_job=SwitchJob(job=JOB, enabled=False))
    assert await refused(exchange(first, question("n1"))) == "JOB_DISABLED"


async def test_a_node_without_a_learner_says_so(nodes: list[BenchNode]) -> None:
    assert await refused(exchange(nodes[0], question("n2"))) == "NO_LEARNER"


async def test_a_question_to_somebody_else_is_refused(nodes: list[BenchNode]) -> None:
    first, second, _ = nodes
    assert await refused(exchange_as_member(first, second, question("n3"))) == "INVALID_INPUT"
    assert await refused(exchange(first, question("n9"))) == "NOT_A_MEMBER"


@pytest.mark.parametrize(
    "broken",
    [
        {"round_id": b"short"},
        {"timeout_ms": 0},
        {"timeout_ms": 10_000_000},
        {"payload": bytes(3 * 1024 * 1024 + 1)},
    ],
)
async def test_what_makes_no_sense_is_refused(nodes: list[BenchNode], broken: dict[str, Any]) -> None:
    request = question("n1")
    for field, value in broken.items():
        setattr(request, field, value)
    with pytest.raises(WeftmeshError, match=r"round_id|timeout_ms|bytes"):
        await exchange(nodes[0], request)


async def test_an_answer_that_is_too_large_stays_here(nodes: list[BenchNode]) -> None:
    def huge(asked: learning_pb2.LearnerQuestion) -> learning_pb2.LearnerAnswer:
        answer = echo(asked)
        answer.payload = bytes(3 * 1024 * 1024 + 1)
        return answer

    async with nodes[1].stub() as stub, attending(stub, huge):
        assert await refused(exchange(nodes[0], question("n2"))) == "PAYLOAD_TOO_LARGE"
    assert nodes[1].ledger.egresses == []
