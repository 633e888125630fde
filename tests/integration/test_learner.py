"""Whole rounds between three real nodes: real learners, started by their sockets, on tasks that stay home."""

from __future__ import annotations

import asyncio
import math
import os
import random
import time
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

import pytest
import pytest_asyncio

from weftmesh.board.v1 import board_pb2
from weftmesh.cli.dev_mesh import DevMesh, dev_mesh
from weftmesh.cli.dev_node import DevNode
from weftmesh.client import Client
from weftmesh.coordinator.aggregated_round import AggregatedRound, RoundAbandonedError, Sum
from weftmesh.coordinator.courier import Courier
from weftmesh.core.aggregation.messages import UnmaskIntent
from weftmesh.core.aggregation.roster import SignedStatement
from weftmesh.core.aggregation.terms import RoundTerms, threshold_for
from weftmesh.core.errors import WeftmeshError
from weftmesh.core.forecast.effort import EffortModel
from weftmesh.core.forecast.features import COUNTS_LENGTH, DIMENSIONS, DocumentCounts
from weftmesh.core.forecast.model_bytes import encode_model
from weftmesh.core.learning.model import RoundKind
from weftmesh.core.learning.sum_names import parse_sum_name, sum_name
from weftmesh.learner.count_noise import COUNT_SIGMA
from weftmesh.learning.v1 import command_pb2, learning_pb2
from weftmesh.runtime import flower
from weftmesh.runtime.flower import MessageType
from weftmesh.runtime.masking import ContributionLayout
from weftmesh.runtime.round_settings import RoundSettings
from weftmesh.runtime.training_messages import instruction
from weftmesh.runtime.wire.envelopes import FlowerMessage, LearnerRefusal, seal, unseal

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240), pytest.mark.asyncio(loop_scope="module")]

JOB = "estimates"
CANARY = "xylophonecanary"
LABELS = 40
EXCHANGE_MAX_S = 120.0
"""A node carries no question that may take longer."""
WORDS = ("crash", "typo", "login", "rewrite", "scheduler", "label", "migration", "colour", "driver", "timeout")
T = TypeVar("T")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[DevMesh]:
    async with dev_mesh(tmp_path_factory.mktemp("learners"), 3, fsync=False, learners=True) as running:
        for number, node in enumerate(running.nodes.values()):
            await fill(node, number)
        async with running.first.client() as client:
            spec = learning_pb2.JobSpec(head="effort").SerializeToString()
            job = command_pb2.DefineJob(job=JOB, contributors_floor=3, threshold_percent=60, spec=spec)
            change = learning_pb2.ChangeLearningRequest(define_job=job)
            await client.learning.change_learning(change)
        yield running


async def fill(node: DevNode, number: int) -> None:
    """A project whose tasks never leave the node, with labels that follow from their words."""
    rng, project = random.Random(number), f"HOME{number}"
    async with node.client() as client:
        home = board_pb2.Project(title=f"{CANARY} of {node.name}", home=f"node:{node.name}")
        await client.board.create_project(board_pb2.CreateProjectRequest(project_id=project, project=home))
        requests = []
        for _ in range(LABELS):
            picked = rng.sample(range(len(WORDS)), 3)
            task = board_pb2.Task(
                title=f"{CANARY} {' '.join(WORDS[one] for one in picked)}",
                description=f"{CANARY} " * 3,
                status=board_pb2.TASK_STATUS_DONE,
                estimate=float((1, 2, 3, 5, 8)[min(max(picked) // 2, 4)]),
            )
            requests.append(board_pb2.CreateTaskRequest(parent=f"projects/{project}", task=task))
        for answer in await client.write_many(requests, timeout_s=30.0):
            assert not isinstance(answer, WeftmeshError), answer


@dataclass
class TinyCoordinator:
    """Runs rounds from the node that leads: what it asks and is told passes through LearningService alone.

    Attributes:
        asked: every question, by node.
        told: every answer.
    """

    client: Client
    loop: asyncio.AbstractEventLoop
    duty: learning_pb2.Duty
    names: tuple[str, ...]
    asked: list[tuple[str, bytes]] = field(default_factory=list)
    told: list[bytes] = field(default_factory=list)
    round_id: bytes = b""

    @property
    def coordinator(self) -> command_pb2.Coordinator:
        return command_pb2.Coordinator(node=self.duty.node, term=self.duty.term)

    async def deliver(self, node: str, payload: bytes, timeout_s: float) -> bytes:
        self.asked.append((node, payload))
        request = learning_pb2.ExchangeRequest(
            node=node,
            job=JOB,
            round_id=self.round_id,
            coordinator=self.coordinator,
            payload=payload,
            timeout_ms=round(min(timeout_s, EXCHANGE_MAX_S) * 1_000),
        )
        answer = await self.client.learning.exchange(request)
        self.told.append(answer.payload)
        return answer.payload

    async def propose(self, **command: Any) -> learning_pb2.ProposeResponse:
        request = learning_pb2.ProposeRequest(command=command_pb2.LearningCommand(**command))
        return await self.client.learning.propose(request)

    async def add_version(self, model: bytes) -> int:
        """A version that no round made."""
        holders = (await self.client.learning.put_model(model)).holders
        version = command_pb2.AddVersion(
            job=JOB,
            coordinator=self.coordinator,
            sha256=sha256(model).digest(),
            size_bytes=len(model),
            blob_holders=holders,
        )
        return (await self.propose(add_version=version)).current_version

    async def round(
        self, kind: RoundKind, base_version: int, model: bytes, layout: ContributionLayout, **settings: Any
    ) -> Sum:
        """One whole round.

        Raises:
            RoundAbandonedError: there is no sum.
        """
        self.round_id, as_of_s = os.urandom(16), await self._moment()
        of_round: Mapping[str, Any] = {"job": JOB, "coordinator": self.coordinator, "round_id": self.round_id}
        await self.propose(
            open_round=command_pb2.OpenRound(
                **of_round,
                kind=int(kind),
                base_version=base_version,
                contributors=self.names,
                as_of_s=as_of_s,
            )
        )
        terms = RoundTerms(
            self.round_id,
            sum_name(JOB, kind),
            base_version,
            self.duty.term,
            self.names,
            threshold_for(len(self.names)),
            3,
            layout.length,
        )
        config = RoundSettings("effort", kind, float(as_of_s), **settings).to_config()
        work = {name: work_for(kind, model, config) for name in self.names}
        courier = Courier(self.loop, self, lambda: True)
        one = AggregatedRound(terms, courier, self, self.verify, work, layout.metrics)
        try:
            return await asyncio.to_thread(one.run)
        finally:
            await self.propose(abandon_round=command_pb2.AbandonRound(**of_round, why="the test has what it wants"))

    async def _moment(self) -> int:
        """The newest moment of the job: a new one is due an hour later."""
        view = await self.client.learning.get_learning(learning_pb2.GetLearningRequest(job=JOB))
        return view.jobs[0].as_of_s or int(time.time()) + 1  # labels of the present second count

    # What AggregatedRound calls on its worker thread

    def open(self, kind: str, contributors: tuple[str, ...], vector_length: int) -> RoundTerms:
        raise NotImplementedError("rounds are opened by `round`")

    def commit(self, intent: UnmaskIntent) -> None:
        self._wait(self._commit(intent))

    def verify(self, statements: Sequence[SignedStatement]) -> list[bool]:
        return self._wait(self.client.learning.check_statements(statements))

    async def _commit(self, intent: UnmaskIntent) -> None:
        roster = tuple(sorted(intent.active + intent.dead))
        of_round: Mapping[str, Any] = {
            "job": parse_sum_name(intent.job)[0],
            "coordinator": self.coordinator,
            "round_id": intent.round_id,
            "roster_sha256": intent.roster_hash,
        }
        await self.propose(fix_roster=command_pb2.FixRoster(**of_round, contributors=roster))
        committed = command_pb2.CommitIntent(
            **of_round, base_version=intent.base_version, active=intent.active, dead=intent.dead
        )
        await self.propose(commit_intent=committed)

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30.0)


def work_for(kind: RoundKind, model: bytes, config: Mapping[str, Any]) -> bytes:
    message_type = MessageType.EVALUATE if kind is RoundKind.EVALUATION else MessageType.TRAIN
    message = flower.instruct(instruction(model, config), message_type, 77, "round")
    flower.set_message_id(message, "9")
    return flower.to_bytes(message)


@asynccontextmanager
async def coordinating(mesh: DevMesh) -> AsyncIterator[TinyCoordinator]:
    """A coordinator beside the node that leads."""
    leader = mesh.node(await mesh.settled())
    async with leader.client() as client:
        duty = await anext(client.learning.watch_duty())
        assert duty.leads
        yield TinyCoordinator(client, asyncio.get_running_loop(), duty, tuple(sorted(mesh.nodes)))


def learner_processes(node: DevNode) -> list[int]:
    """The process ids of a node's learners."""
    found: list[int] = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"weftmesh.learner" in words and os.fsencode(str(node.socket)) in words and b"-I" not in words:
            found.append(int(path.parent.name))
    return found


def mapped(pid: int) -> str:
    """The files that a process has in its memory."""
    return Path(f"/proc/{pid}/maps").read_text()


async def plainly_asked(coordinator: TinyCoordinator) -> list[LearnerRefusal]:
    """What learners say to training in the clear; after it, every node has one."""
    plain = work_for(RoundKind.TRAINING, b"model", RoundSettings("effort", RoundKind.TRAINING).to_config())
    answers = []
    for name in coordinator.names:
        coordinator.round_id = os.urandom(16)
        answer = unseal(await coordinator.deliver(name, seal(FlowerMessage(plain)), 30.0))
        assert isinstance(answer, LearnerRefusal)
        answers.append(answer)
    return answers


async def test_three_learners_count_train_and_are_judged_and_say_no_word_of_their_tasks(mesh: DevMesh) -> None:
    async with coordinating(mesh) as coordinator:
        assert not [pid for node in mesh.nodes.values() for pid in learner_processes(node)], "nobody has asked yet"
        first = await coordinator.add_version(b"what is trained is made of the sums of the first round")
        layout = ContributionLayout(COUNTS_LENGTH)
        counted = layout.unpack((await coordinator.round(RoundKind.STATISTICS, first, b"", layout)).total)
        counts = DocumentCounts.from_vector(list(counted.update * counted.weight))
        assert counts.documents == pytest.approx(3 * LABELS * 0.8, abs=8 * COUNT_SIGMA * math.sqrt(3))

        model = encode_model(EffortModel.untrained(counts.statistics()))
        base = await coordinator.add_version(model)
        layout = ContributionLayout(DIMENSIONS, ("loss",))
        begin_s = monotonic()
        trained = await coordinator.round(RoundKind.TRAINING, base, model, layout)
        print(f"one training round: {monotonic() - begin_s:.3f} s")
        assert trained.contributors == coordinator.names
        mean = layout.unpack(trained.total)
        assert mean.weight == pytest.approx(3 * math.sqrt(LABELS * 0.8), abs=1e-5)
        assert 0 < float(abs(mean.update).max()) < 4

        layout = ContributionLayout(0, ("model_loss", "baseline_loss"))
        judged = layout.unpack((await coordinator.round(RoundKind.EVALUATION, base, model, layout)).total)
        assert judged.weight == pytest.approx(3 * LABELS * 0.2)
        losses = judged.metrics["model_loss"], judged.metrics["baseline_loss"]
        assert 0 < losses[0] < losses[1], "with no weights yet, tasks with the same words tell, and the median does not"

        assert len(coordinator.told) >= 3 * (3 + 3 + 3 + 2), "the last answer of a round is not waited for"
        said = [one for one in coordinator.told if CANARY.encode() in one or b"HOME" in one]
        assert not said


async def test_the_agent_has_neither_numpy_nor_flower_and_a_node_one_learner(mesh: DevMesh) -> None:
    async with coordinating(mesh) as coordinator:
        await plainly_asked(coordinator)
    for node in mesh.nodes.values():
        (learner,) = learner_processes(node)
        assert "numpy" not in mapped(node.pid)
        assert "numpy" in mapped(learner)
        assert os.getpriority(os.PRIO_PROCESS, learner) > os.getpriority(os.PRIO_PROCESS, node.pid)


async def test_a_second_sum_over_one_base_version_is_refused_by_mesh_and_learners(mesh: DevMesh) -> None:
    async with coordinating(mesh) as coordinator:
        model = os.urandom(100)
        base = await coordinator.add_version(model)
        layout = ContributionLayout(COUNTS_LENGTH)
        await coordinator.round(RoundKind.STATISTICS, base, b"", layout)
        with pytest.raises(WeftmeshError, match="closed"):
            await coordinator.round(RoundKind.STATISTICS, base, b"", layout)


async def test_training_in_the_clear_is_refused(mesh: DevMesh) -> None:
    async with coordinating(mesh) as coordinator:
        refused = await plainly_asked(coordinator)
    assert [one.reason for one in refused] == ["PLAIN_TRAINING_REFUSED"] * 3


async def test_an_owner_s_file_keeps_the_node_out(mesh: DevMesh) -> None:
    node = mesh.node("node2")
    path = node.learner_directory / "opt-out"
    path.touch()
    try:
        async with coordinating(mesh) as coordinator:
            base = await coordinator.add_version(os.urandom(100))
            with pytest.raises(RoundAbandonedError, match="node2: OPTED_OUT"):
                await coordinator.round(RoundKind.STATISTICS, base, b"", ContributionLayout(COUNTS_LENGTH))
    finally:
        path.unlink()


async def test_a_learner_that_is_killed_is_started_again_by_the_next_question(mesh: DevMesh) -> None:
    node = mesh.node("node3")
    async with coordinating(mesh) as coordinator:
        await plainly_asked(coordinator)
        (before,) = learner_processes(node)
        os.kill(before, 9)
        base = await coordinator.add_version(os.urandom(100))
        layout = ContributionLayout(COUNTS_LENGTH)
        for attempt in range(3):
            try:
                done = await coordinator.round(RoundKind.STATISTICS, base, b"", layout)
                break
            except RoundAbandonedError:
                assert attempt < 2
        assert done.contributors == coordinator.names
    (after,) = learner_processes(node)
    assert after != before


async def test_learners_end_with_their_nodes(mesh: DevMesh) -> None:
    node = mesh.node("node1")
    async with coordinating(mesh) as coordinator:
        await plainly_asked(coordinator)
    (learner,) = learner_processes(node)
    await node.stop()
    assert learner not in learner_processes(node)
    await mesh.restart("node1")
    await mesh.settled()
