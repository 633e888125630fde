"""Learning between real nodes: what the coordinator and the learners of three processes can do, and what nobody can."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from tests.fakes.echo_learner import EchoLearner, attending

from weftmesh.cli.dev_mesh import DevMesh
from weftmesh.cli.dev_node import DevNode
from weftmesh.core.aggregation.keys import STATEMENT_LABEL
from weftmesh.core.encoding import encode
from weftmesh.core.errors import WeftmeshError
from weftmesh.core.learning.model import RoundKind
from weftmesh.learning.v1 import learning_pb2, learning_pb2_grpc
from weftmesh.learning.v1.command_pb2 import (
    AddVersion,
    CommitIntent,
    Coordinator,
    DefineJob,
    FixRoster,
    LearningCommand,
    OpenRound,
    SetOptOut,
)
from weftmesh.privacy.v1 import privacy_pb2
from weftmesh.runtime.config import load_config
from weftmesh.runtime.identity.credentials import NodeIdentity, open_channel
from weftmesh.runtime.identity.founding import identity_store
from weftmesh.runtime.rpc import from_rpc_error

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180), pytest.mark.asyncio(loop_scope="module")]

CALL_S = 30.0


async def told(answer: Any) -> Any:
    """The answer of a call; a refusal as one of our errors."""
    try:
        return await answer
    except grpc.aio.AioRpcError as error:
        raise from_rpc_error(error) from error


async def refused(answer: Any) -> str:
    with pytest.raises(WeftmeshError) as error:
        await told(answer)
    return error.value.reason


@asynccontextmanager
async def local(node: DevNode) -> AsyncIterator[Any]:
    """LearningService of a node."""
    async with grpc.aio.insecure_channel(f"unix:{node.socket}") as channel:
        yield learning_pb2_grpc.LearningServiceStub(channel)


@asynccontextmanager
async def as_member(node: DevNode, to: DevNode) -> AsyncIterator[Any]:
    """LearningPeerService of `to`, called with the certificate of `node`."""
    config = load_config(node.config_path, environment={})
    identity = NodeIdentity(identity_store(config.node.data_dir).load())
    async with open_channel(identity, to.name, to.listen) as channel:
        yield learning_pb2_grpc.LearningPeerServiceStub(channel)


async def duty_of(node: DevNode) -> learning_pb2.Duty:
    async with local(node) as stub:
        call = stub.WatchDuty(learning_pb2.WatchDutyRequest())
        duty: learning_pb2.Duty = await told(call.read())
        call.cancel()
        return duty


async def leader_of(mesh: DevMesh) -> tuple[DevNode, Coordinator, list[DevNode]]:
    """The node that leads, as a coordinator, and the others."""
    leader = mesh.node(await mesh.settled())
    duty = await duty_of(leader)
    assert duty.leads
    others = [node for node in mesh.nodes.values() if node is not leader]
    return leader, Coordinator(node=leader.name, term=duty.term), others


async def define(mesh: DevMesh, job: str) -> None:
    async with local(mesh.first) as stub:
        change = DefineJob(job=job, contributors_floor=3, threshold_percent=60, spec=b"spec")
        await told(stub.ChangeLearning(learning_pb2.ChangeLearningRequest(define_job=change), timeout=CALL_S))


def question(job: str, node: DevNode, coordinator: Coordinator, payload: bytes) -> learning_pb2.ExchangeRequest:
    return learning_pb2.ExchangeRequest(
        node=node.name,
        job=job,
        round_id=os.urandom(16),
        coordinator=coordinator,
        payload=payload,
        timeout_ms=5_000,
    )


async def left(node: DevNode, peer: DevNode) -> list[tuple[int, bytes]]:
    """Sizes and hashes of what left a node for another one, as its ledger has it."""
    async with node.client() as client:
        found = []
        request = privacy_pb2.ReportEgressRequest(peer=peer.name, include_records=True)
        async for part in client.privacy.report(request, timeout_s=CALL_S):
            found += [(one.size_bytes, one.sha256) for one in part.records.records]
        return found


def recorded(payload: bytes) -> tuple[int, bytes]:
    return len(payload), hashlib.sha256(payload).digest()


def parts_of(model: bytes) -> Iterator[learning_pb2.ModelPart]:
    yield learning_pb2.ModelPart(sha256=hashlib.sha256(model).digest(), size_bytes=len(model))
    for start in range(0, len(model), 300_000):
        yield learning_pb2.ModelPart(data=model[start : start + 300_000])


async def put(node: DevNode, model: bytes) -> int:
    async with local(node) as stub:
        return int((await told(stub.PutModel(parts_of(model), timeout=CALL_S))).holders)


async def get(node: DevNode, sha256: bytes) -> bytes:
    async with local(node) as stub:
        call = stub.GetModel(learning_pb2.GetModelRequest(sha256=sha256), timeout=CALL_S)
        data = b""
        while (part := await told(call.read())) is not grpc.aio.EOF:
            data += part.data
        return data


async def test_a_question_crosses_the_mesh_and_the_ledgers_have_every_byte(mesh: DevMesh) -> None:
    leader, coordinator, others = await leader_of(mesh)
    await define(mesh, "effort")
    asked = [question("effort", node, coordinator, os.urandom(70_000)) for node in others]
    before = [(await left(leader, node), await left(node, leader)) for node in others]
    async with (
        local(leader) as stub,
        local(others[0]) as one,
        local(others[1]) as two,
        attending(one) as first,
        attending(two),
    ):
        assert (await first.admitted).node == others[0].name
        answers = await asyncio.gather(*(told(stub.Exchange(request, timeout=CALL_S)) for request in asked))
    for node, request, answer, (sent, answered) in zip(others, asked, answers, before, strict=True):
        assert answer.payload == b"echo " + request.payload
        assert await left(leader, node) == [*sent, recorded(request.payload)]
        assert await left(node, leader) == [*answered, recorded(answer.payload)]


async def test_only_the_leader_of_the_present_term_is_heeded(mesh: DevMesh) -> None:
    leader, coordinator, (second, third) = await leader_of(mesh)
    await define(mesh, "heeding")
    older = Coordinator(node=leader.name, term=coordinator.term - 1)
    other = Coordinator(node=second.name, term=coordinator.term)
    async with as_member(leader, third) as from_leader, as_member(second, third) as from_second:
        for stub, by, reason in (
            (from_leader, older, "STALE_TERM"),
            (from_leader, other, "WRONG_COORDINATOR"),
            (from_second, other, "WRONG_COORDINATOR"),
            (from_second, coordinator, "WRONG_COORDINATOR"),
        ):
            assert await refused(stub.Exchange(question("heeding", third, by, b""), timeout=CALL_S)) == reason
    async with local(leader) as stub:
        assert await refused(stub.Exchange(question("heeding", third, older, b""), timeout=CALL_S)) == "STALE_TERM"
    async with local(second) as stub:
        opened = LearningCommand(open_round=OpenRound(job="heeding", coordinator=coordinator))
        proposal = learning_pb2.ProposeRequest(command=opened)
        assert await refused(stub.Propose(proposal, timeout=CALL_S)) == "WRONG_COORDINATOR"


async def test_a_node_has_one_learner_at_a_time_and_the_next_after_it(mesh: DevMesh) -> None:
    async with local(mesh.first) as stub:
        async with attending(stub):
            second = EchoLearner(stub)
            await second.run()
            with pytest.raises(grpc.aio.AioRpcError, match="another learner attends"):
                await second.admitted
        await asyncio.sleep(0.2)
        async with attending(stub) as third:
            assert (await third.admitted).cluster == "dev"


async def test_a_learner_is_started_by_its_socket_when_somebody_asks(mesh: DevMesh) -> None:
    leader, coordinator, (second, _) = await leader_of(mesh)
    await define(mesh, "starting")
    path = second.directory / "run" / "learner.sock"
    started: list[asyncio.Task[None]] = []

    async with local(leader) as asking, local(second) as attended:
        request = question("starting", second, coordinator, b"anybody there?")
        assert await refused(asking.Exchange(request, timeout=CALL_S)) == "NO_LEARNER"

        async def activate(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()
            started.append(asyncio.create_task(EchoLearner(attended).run()))

        async with await asyncio.start_unix_server(activate, path):
            for _ in range(2):
                answer = await told(asking.Exchange(request, timeout=CALL_S))
                assert answer.payload == b"echo anybody there?"
        assert len(started) == 1
        started[0].cancel()
    path.unlink(missing_ok=True)


async def test_an_opt_out_is_heeded_on_every_node(mesh: DevMesh) -> None:
    leader, coordinator, (second, _) = await leader_of(mesh)
    await define(mesh, "veto")
    async with local(second) as stub:
        out = SetOptOut(job="veto", out=True, why="our data stays out of this")
        change = learning_pb2.ChangeLearningRequest(set_opt_out=out)
        answer = await told(stub.ChangeLearning(change, timeout=CALL_S))
    async with local(leader) as stub:
        request = learning_pb2.GetLearningRequest(job="veto", min_revision=answer.revision)
        view = await told(stub.GetLearning(request, timeout=CALL_S))
        assert second.name not in view.contributors
        assert leader.name in view.contributors
        assert await refused(stub.Exchange(question("veto", second, coordinator, b""), timeout=CALL_S)) == "OPTED_OUT"


async def test_members_sign_and_a_forged_statement_is_found_out(mesh: DevMesh) -> None:
    first, second, third = mesh.nodes.values()
    statement = encode(STATEMENT_LABEL, "terms", b"keys")
    async with local(first) as signing, local(third) as checking:
        signed = await told(signing.SignStatement(learning_pb2.SignStatementRequest(statement=statement), timeout=5))

        async def genuine(node: str, what: bytes, signature: bytes) -> bool:
            claim = learning_pb2.SignedStatement(node=node, statement=what, signature=signature)
            request = learning_pb2.CheckStatementsRequest(statements=[claim])
            (verdict,) = (await told(checking.CheckStatements(request, timeout=CALL_S))).verdicts
            return bool(verdict.genuine)

        assert await genuine(first.name, statement, signed.signature)
        assert not await genuine(second.name, statement, signed.signature)
        assert not await genuine(first.name, statement + b"x", signed.signature)
        assert not await genuine(first.name, statement, signed.signature[:-1] + b"\0")
        assert not await genuine(third.name, statement, signed.signature)
        assert not await genuine("node9", statement, signed.signature)
        other_use = learning_pb2.SignStatementRequest(statement=b"a certificate for mallory")
        assert await refused(signing.SignStatement(other_use, timeout=5)) == "STATEMENT_DOMAIN"


async def test_a_contributor_sees_the_intent_of_a_round_on_its_own_replica(mesh: DevMesh) -> None:
    leader, coordinator, (second, _) = await leader_of(mesh)
    await define(mesh, "intents")
    names = sorted(mesh.nodes)
    round_id, roster = os.urandom(16), hashlib.sha256(b"roster").digest()
    of_round: dict[str, Any] = {"job": "intents", "coordinator": coordinator, "round_id": round_id}
    model, kind = hashlib.sha256(os.urandom(16)).digest(), int(RoundKind.TRAINING)
    async with local(leader) as stub, local(second) as contributor:

        async def propose(**command: Any) -> learning_pb2.ProposeResponse:
            request = learning_pb2.ProposeRequest(command=LearningCommand(**command))
            answer: learning_pb2.ProposeResponse = await told(stub.Propose(request, timeout=CALL_S))
            return answer

        seed = AddVersion(job="intents", coordinator=coordinator, sha256=model, size_bytes=2_000, blob_holders=2)
        base = (await propose(add_version=seed)).current_version
        asked = learning_pb2.AwaitIntentRequest(
            job="intents", round_id=round_id, base_version=base, round_kind=kind, timeout_ms=20_000
        )
        waiting = asyncio.create_task(told(contributor.AwaitIntent(asked, timeout=CALL_S)))
        await propose(
            open_round=OpenRound(**of_round, kind=kind, base_version=base, contributors=names, as_of_s=int(time.time()))
        )
        await propose(fix_roster=FixRoster(**of_round, contributors=names, roster_sha256=roster))
        few = CommitIntent(**of_round, base_version=base, roster_sha256=roster, active=names[:1], dead=names[1:])
        assert await refused(propose(commit_intent=few)) == "TOO_FEW_CONTRIBUTORS"
        intent = CommitIntent(**of_round, base_version=base, roster_sha256=roster, active=names)
        await propose(commit_intent=intent)
        shown = (await waiting).intent
        assert (shown.round_id, list(shown.active), shown.roster_sha256) == (round_id, names, roster)
        asked.round_id = os.urandom(16)
        assert not (await told(contributor.AwaitIntent(asked, timeout=CALL_S))).HasField("intent")


async def test_a_model_outlives_the_node_that_it_was_put_on(mesh: DevMesh) -> None:
    leader, _, others = await leader_of(mesh)
    model = os.urandom(1_500_000)
    sha256 = hashlib.sha256(model).digest()
    assert await put(leader, model) >= 2
    assert recorded(model) in [one for node in others for one in await left(leader, node)]
    await mesh.kill(leader.name, signal.SIGKILL)
    try:
        for node in others:
            assert await get(node, sha256) == model
    finally:
        await mesh.restart(leader.name)
    (leader.directory / "data" / "models" / sha256.hex()).unlink()
    await mesh.settled()
    assert await get(leader, sha256) == model
    assert (leader.directory / "data" / "models" / sha256.hex()).read_bytes() == model
    assert await refused(get(leader, hashlib.sha256(b"nobody's").digest())) == "MODEL_NOT_FOUND"
    assert recorded(model) in [one for node in others for one in await left(node, leader)]


async def test_who_is_no_member_and_what_is_not_the_local_socket_gets_nothing(mesh: DevMesh) -> None:
    first, second, _ = mesh.nodes.values()
    config = load_config(first.config_path, environment={})
    identity = NodeIdentity(identity_store(config.node.data_dir).load())
    async with open_channel(identity, second.name, second.listen) as channel:
        stub: Any = learning_pb2_grpc.LearningServiceStub(channel)
        assert await refused(stub.GetLearning(learning_pb2.GetLearningRequest(), timeout=CALL_S)) == "UNIMPLEMENTED"
    async with grpc.aio.insecure_channel(f"unix:{second.socket}") as channel:
        peer_stub: Any = learning_pb2_grpc.LearningPeerServiceStub(channel)
        shown = peer_stub.ShowCertificate(learning_pb2.ShowCertificateRequest(), timeout=CALL_S)
        assert await refused(shown) == "UNIMPLEMENTED"
