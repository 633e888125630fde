"""A team's tasks on the boards of a bench node, at times that the test chooses, and models that it forecasts with."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
from dataclasses import dataclass, field
from itertools import count

from benchmarks.learning.dataset import Rows
from benchmarks.learning.training import federated
from tests.unit.agent.learning.bench import BenchNode
from tests.unit.core.board.writer import ulid

from weftmesh.agent.board.homes import MESH, Home
from weftmesh.core.board.commands import Command, CreateProject, CreateTask, Header, UpdateTask
from weftmesh.core.board.model import FieldValue, Status
from weftmesh.core.clock import ms_to_stamp
from weftmesh.core.forecast.effort import EffortModel
from weftmesh.core.forecast.features import raw_features
from weftmesh.core.forecast.text import TaskText
from weftmesh.learning.v1 import learning_pb2
from weftmesh.learning.v1.command_pb2 import ActivateVersion, AddVersion, Coordinator, DefineJob, LearningCommand
from weftmesh.runtime.wire.commands import encode_command

DAY_S = 86_400.0
NOW_S = 1_780_000_000.0
"""Some time in the past: a board takes no stamps far ahead of the clock."""
PATIENCE_S = 20.0
LARGE = ("rewrite", "scheduler", "migration", "protocol")
SMALL = ("typo", "label", "colour", "tooltip")
_numbers = count(1)


@dataclass
class Team:
    """One project and who writes to it."""

    node: BenchNode
    project: str = "PROJ"
    home: str = MESH
    keys: dict[str, str] = field(default_factory=dict)
    """Task ids by key."""

    @property
    def at(self) -> Home:
        return self.node.homes.mesh if self.home == MESH else self.node.homes.local

    async def founded(self) -> Team:
        """Make the project."""
        command = CreateProject(self._header(NOW_S - 400 * DAY_S), self.project, "", home=self.home)
        await self._write(self.node.homes.mesh, command)
        if self.home == self.at.name != MESH:
            await self._write(self.at, command)
        return self

    async def add(self, title: str, at_s: float = NOW_S - DAY_S, /, **fields: FieldValue) -> str:
        """A task; its key."""
        task_id = ulid(next(_numbers))
        values = {"title": title, **{path.replace("custom_", "custom."): one for path, one in fields.items()}}
        await self._write(self.at, CreateTask(self._header(at_s), self.project, task_id, values))
        task = self.at.board.find_task(task_id)
        assert task is not None
        self.keys[task.key] = task_id
        return task.key

    async def done(self, title: str, estimate: float) -> str:
        """A label."""
        return await self.add(title, status=Status.DONE, estimate=estimate)

    async def set(self, key: str, at_s: float = NOW_S, /, **fields: FieldValue) -> None:
        await self._write(self.at, UpdateTask(self._header(at_s), self.keys[key], dict(fields)))

    async def label(self, amount: int, seed: int = 1) -> None:
        """Tasks that are done: large ones took 8 or 13, small ones 1 or 2."""
        for title, effort in labels(amount, seed):
            await self.done(title, effort)

    async def forecast(self, key: str) -> learning_pb2.TaskForecast:
        async with self.node.stub() as stub:
            request = learning_pb2.ForecastTaskRequest(name=f"tasks/{key}")
            answer: learning_pb2.TaskForecast = await stub.ForecastTask(request, timeout=10)
            return answer

    async def _write(self, home: Home, command: Command) -> None:
        outcome = await home.writer.submit(encode_command(command), asyncio.get_running_loop().time() + PATIENCE_S)
        assert outcome.ok, outcome.message

    @staticmethod
    def _header(at_s: float) -> Header:
        return Header("ann@n1", ms_to_stamp(round(at_s * 1000)), os.urandom(16))


def labels(amount: int, seed: int = 1) -> list[tuple[str, float]]:
    """Titles, and what they took."""
    rng, found = random.Random(seed), []
    for number in range(amount):
        words, efforts = (LARGE, (8.0, 13.0)) if number % 2 else (SMALL, (1.0, 2.0))
        found.append((" ".join(rng.sample(words, 2)), rng.choice(efforts)))
    return found


def trained(rounds: int = 20) -> EffortModel:
    """What three other teams learn together, by the learner's own functions."""
    nodes = {}
    for seed in (11, 12, 13):
        rows = labels(60, seed)
        texts = [raw_features(TaskText(title)) for title, _ in rows]
        nodes[str(seed)] = Rows(texts, [effort * seed for _, effort in rows])
    return federated(nodes, rounds=rounds)


async def serve(node: BenchNode, head: str, blob: bytes) -> int:
    """Make a model the active version of a job for `head`; the version's number."""
    spec = learning_pb2.JobSpec(head=head).SerializeToString()
    digest = hashlib.sha256(blob).digest()
    async with node.stub() as stub:
        learning = await stub.GetLearning(learning_pb2.GetLearningRequest(job=head), timeout=10)
        if not learning.jobs:
            define = DefineJob(job=head, spec=spec, contributors_floor=3, threshold_percent=60)
            await stub.ChangeLearning(learning_pb2.ChangeLearningRequest(define_job=define), timeout=10)
        part = learning_pb2.ModelPart(sha256=digest, size_bytes=len(blob), data=blob)
        await stub.PutModel(iter([part]), timeout=10)
        added = AddVersion(
            job=head,
            coordinator=Coordinator(node=node.name, term=node.engine.term),
            sha256=digest,
            size_bytes=len(blob),
            blob_holders=1,
        )
        request = learning_pb2.ProposeRequest(command=LearningCommand(add_version=added))
        number = int((await stub.Propose(request, timeout=10)).current_version)
        before = learning.jobs[0].active_version if learning.jobs else 0
        activate = ActivateVersion(job=head, version=number, expected_active=before, unevaluated=True)
        await stub.ChangeLearning(learning_pb2.ChangeLearningRequest(activate_version=activate), timeout=10)
    return number
