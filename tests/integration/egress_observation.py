"""A whole learning job over real nodes, seen from everywhere: on the wire below TLS, in the ledgers, in the log."""

from __future__ import annotations

import asyncio
import random
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import pytest
from google.rpc import status_pb2  # type: ignore[import-untyped]  # it carries no py.typed
from tests.fakes.echo_learner import attending, refuse
from tests.integration.command_line import weftmesh
from tests.integration.http2_calls import Call, calls_of
from tests.integration.learning_mesh import WORDS, coordinating, until
from tests.integration.tls_relay import Relays, Wire, relayed_mesh

from weftmesh.board.v1 import board_pb2
from weftmesh.cli.dev_mesh import DevMesh
from weftmesh.cli.dev_node import DevNode
from weftmesh.coordinator.registry import JobState
from weftmesh.core.errors import WeftmeshError
from weftmesh.learning.v1 import command_pb2, learning_pb2, learning_pb2_grpc
from weftmesh.privacy.v1 import privacy_pb2
from weftmesh.runtime.rpc import error_from_status

CANARY = "Quetzalkanarie"
"""In every text of a task at home."""
CONTROL = "Zilpzalpkontrolle"
"""In a task of the mesh, which every node gets."""
JOB = "watched"
GOAL = 5
LABELS = 40
NODES = 3
SETTLE_S = 120.0
QUIET_S = 20.0
"""For what is on its way when a job rests."""
LEARNING = "/weftmesh.learning.v1.LearningPeerService/"
LEARNER_REFUSED = "LEARNER_REFUSED"


class Payload(NamedTuple):
    """What left a node for another one."""

    sender: str
    receiver: str
    size_bytes: int
    sha256: str

    @classmethod
    def of(cls, sender: str, receiver: str, data: bytes) -> Payload:
        return cls(sender, receiver, len(data), sha256(data).hexdigest())


@dataclass
class Observed:
    """A job that is over, as it was seen from everywhere.

    Attributes:
        state: what the log says of it.
        wires: what the relays kept, of a second job too.
        passed: what was seen to pass for class learning.
        recorded: what the nodes' ledgers say left them.
        hurried: both again after the second job, whose questions are broken off when enough have answered.
        reports: `weftmesh privacy report`, by node.
        verified: `weftmesh privacy verify`, by node.
        at_home: the canaries in the log of a node's own projects, by node.
    """

    state: JobState
    wires: list[Wire]
    passed: Counter[Payload]
    recorded: Counter[Payload]
    hurried: tuple[Counter[Payload], Counter[Payload]]
    reports: dict[str, Any]
    verified: dict[str, Any]
    at_home: dict[str, set[bytes]]

    def calls(self) -> list[tuple[Wire, Call]]:
        return [(wire, call) for wire in self.wires for call in calls_of(bytes(wire.sent), bytes(wire.answered))]


def seen_on(wires: list[Wire]) -> Counter[Payload]:
    """The payloads of learning that passed."""
    seen: Counter[Payload] = Counter()
    for wire in wires:
        for call in calls_of(bytes(wire.sent), bytes(wire.answered)):
            if call.path.startswith(LEARNING):
                sent, answered = PAYLOADS[call.path.removeprefix(LEARNING)](call)
                seen.update(Payload.of(wire.caller, wire.callee, data) for data in sent)
                seen.update(Payload.of(wire.callee, wire.caller, data) for data in answered)
    return seen


def of_exchange(call: Call) -> tuple[list[bytes], list[bytes]]:
    """A question and its answer; or, as text, why a learner refuses."""
    sent = [learning_pb2.ExchangeRequest.FromString(one).payload for one in call.sent]
    answered = [learning_pb2.ExchangeResponse.FromString(one).payload for one in call.answered]
    return sent, answered + [text for reason, text in refusals_of(call) if reason == LEARNER_REFUSED]


def of_store(call: Call) -> tuple[list[bytes], list[bytes]]:
    return [model_in(call.sent)], []


def of_fetch(call: Call) -> tuple[list[bytes], list[bytes]]:
    return [], [model_in(call.answered)]


def of_certificate(_call: Call) -> tuple[list[bytes], list[bytes]]:
    """A node shows its certificate, as it does in each handshake: no payload."""
    return [], []


PAYLOADS: dict[str, Callable[[Call], tuple[list[bytes], list[bytes]]]] = {
    "Exchange": of_exchange,
    "StoreModel": of_store,
    "FetchModel": of_fetch,
    "ShowCertificate": of_certificate,
}
"""What counts as payload in each method that there is: both ways."""


def model_in(messages: list[bytes]) -> bytes:
    return b"".join(learning_pb2.ModelPart.FromString(one).data for one in messages)


def refusals_of(call: Call) -> list[tuple[str, bytes]]:
    """Reason and text of a call that failed."""
    found = []
    for name, value in call.headers_answered:
        if name == "grpc-status-details-bin":
            status = status_pb2.Status.FromString(value.encode("latin-1").removeprefix(b"\0"))
            found.append((error_from_status(status).reason, status.message.encode()))
    return found


async def plant(node: DevNode, number: int) -> None:
    """Tasks at home on a node, with a canary in every text that they have."""
    rng, project = random.Random(number), f"HOME{number}"
    async with node.client() as client:
        home = board_pb2.Project(title=f"{CANARY}project{number}", home=f"node:{node.name}")
        await client.board.create_project(board_pb2.CreateProjectRequest(project_id=project, project=home))
        requests = []
        for _ in range(LABELS):
            picked = rng.sample(range(len(WORDS)), 3)
            task = board_pb2.Task(
                title=f"{CANARY}title{number} {' '.join(WORDS[one] for one in picked)}",
                description=f"{CANARY}description{number} " * 3,
                labels=[f"{CANARY}label{number}"],
                assignee=f"{CANARY}assignee{number}",
                custom={f"{CANARY}key": f"{CANARY}value{number}"},
                status=board_pb2.TASK_STATUS_DONE,
                estimate=float((1, 2, 3, 5, 8)[min(max(picked) // 2, 4)]),
            )
            requests.append(board_pb2.CreateTaskRequest(parent=f"projects/{project}", task=task))
        for answer in await client.write_many(requests, timeout_s=60.0):
            assert not isinstance(answer, WeftmeshError), answer


async def plant_control(node: DevNode) -> None:
    async with node.client() as client:
        shared = board_pb2.Project(title="of the mesh")
        await client.board.create_project(board_pb2.CreateProjectRequest(project_id="MESH", project=shared))
        task = board_pb2.Task(title=CONTROL)
        await client.board.create_task(board_pb2.CreateTaskRequest(parent="projects/MESH", task=task))


async def define(node: DevNode, job: str, threshold_percent: int) -> None:
    spec = learning_pb2.JobSpec(head="effort", goal_version=GOAL, evaluate_every=4)
    definition = command_pb2.DefineJob(
        job=job, contributors_floor=NODES, threshold_percent=threshold_percent, spec=spec.SerializeToString()
    )
    async with node.client() as client:
        await client.learning.change_learning(learning_pb2.ChangeLearningRequest(define_job=definition))


async def learn(mesh: DevMesh, job: str) -> JobState:
    """Carry a job on to its goal: a count, trainings, evaluations."""
    async with coordinating(mesh) as coordinators:
        try:
            return await until(mesh.first, job, lambda state: GOAL in state.evaluations, SETTLE_S)
        except TimeoutError:
            pytest.fail(coordinators.logs())


async def refuse_one(mesh: DevMesh) -> None:
    """A learner refuses a question in words of its own, which leave its node."""
    leader = mesh.node(await mesh.settled())
    other = next(node for node in mesh.nodes.values() if node is not leader)
    async with leader.client() as client, attended(other):
        duty = await anext(client.learning.watch_duty())
        question = learning_pb2.ExchangeRequest(
            node=other.name,
            job=JOB,
            round_id=bytes(16),
            coordinator=command_pb2.Coordinator(node=duty.node, term=duty.term),
            payload=b"a question",
            timeout_ms=10_000,
        )
        with pytest.raises(WeftmeshError, match="too large for this node"):
            await client.learning.exchange(question)


@asynccontextmanager
async def attended(node: DevNode) -> AsyncIterator[None]:
    """A learner that refuses attends on a node."""
    async with (
        grpc.aio.insecure_channel(f"unix:{node.socket}") as channel,
        attending(learning_pb2_grpc.LearningServiceStub(channel), refuse),
    ):
        yield


async def fetch_again(mesh: DevMesh, state: JobState) -> None:
    """Take a model away from a node, which gets it from another one."""
    node = list(mesh.nodes.values())[-1]
    digest = state.versions[GOAL].sha256
    (node.directory / "data" / "models" / digest.hex()).unlink()
    async with node.client() as client:
        assert sha256(await client.learning.get_model(digest)).digest() == digest


async def recorded_by(mesh: DevMesh) -> Counter[Payload]:
    """What all ledgers say left for class learning."""
    found: Counter[Payload] = Counter()
    request = privacy_pb2.ReportEgressRequest(egress_class=privacy_pb2.EGRESS_CLASS_LEARNING, include_records=True)
    for node in mesh.nodes.values():
        async with node.client() as client:
            async for part in client.privacy.report(request, timeout_s=60.0):
                for one in part.records.records:
                    found[Payload(node.name, one.peer, one.size_bytes, one.sha256.hex())] += 1
    return found


async def settled(mesh: DevMesh, relays: Relays) -> tuple[Counter[Payload], Counter[Payload]]:
    """What has passed and what the ledgers say, once they are the same, or should be."""
    give_up_at = asyncio.get_running_loop().time() + QUIET_S
    while True:
        # In this order: what is recorded meanwhile may pass later.
        passed, recorded = seen_on(relays.wires), await recorded_by(mesh)
        if passed == recorded or asyncio.get_running_loop().time() > give_up_at:
            return passed, recorded
        await asyncio.sleep(0.5)


async def said(mesh: DevMesh, command: str) -> dict[str, Any]:
    """What `weftmesh privacy COMMAND` says on each node."""
    runs = [weftmesh(node, "--json", "privacy", command) for node in mesh.nodes.values()]
    return {name: run.json() for name, run in zip(mesh.nodes, await asyncio.gather(*runs), strict=True)}


def at_home(node: DevNode) -> set[bytes]:
    """The canaries in the log of a node's own projects."""
    files = [path for path in (node.directory / "data" / "local").rglob("*") if path.is_file()]
    return {canary for path in files for canary in re.findall(CANARY.encode() + rb"[a-z]+\d*", path.read_bytes())}


async def observe(directory: Path) -> Observed:
    """Make a mesh, plant canaries, learn, and tell what was seen."""
    async with relayed_mesh(directory, NODES) as (mesh, relays):
        await plant_control(mesh.first)
        for number, node in enumerate(mesh.nodes.values()):
            await plant(node, number)
        # With everybody's answer needed, no question is broken off because enough of the others have answered.
        await define(mesh.first, JOB, threshold_percent=100)
        await refuse_one(mesh)
        state = await learn(mesh, JOB)
        await fetch_again(mesh, state)
        passed, recorded = await settled(mesh, relays)
        reports, verified = await said(mesh, "report"), await said(mesh, "verify")
        await define(mesh.first, "hurried", threshold_percent=60)
        await learn(mesh, "hurried")
        hurried = seen_on(relays.wires), await recorded_by(mesh)
        found = {name: at_home(node) for name, node in mesh.nodes.items()}
        return Observed(state, relays.wires, passed, recorded, hurried, reports, verified, found)
