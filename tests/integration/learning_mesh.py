"""For tests of learning over processes: tasks at home on each node, a job, and a coordinator beside each node."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from weftmesh.board.v1 import board_pb2
from weftmesh.cli.dev_mesh import DevMesh
from weftmesh.cli.dev_node import DevNode
from weftmesh.coordinator.registry import VIEW_LIMIT, JobState, read_job
from weftmesh.core.errors import WeftmeshError
from weftmesh.learning.v1 import command_pb2, learning_pb2

WORDS = ("crash", "typo", "login", "rewrite", "scheduler", "label", "migration", "colour", "driver", "timeout")
POLL_S = 0.1
CONNECT_S = 60.0


async def fill(node: DevNode, number: int, labels: int = 40) -> None:
    """A project whose tasks never leave the node, with labels that follow from their words."""
    rng, project = random.Random(number), f"HOME{number}"
    async with node.client() as client:
        home = board_pb2.Project(title=f"of {node.name}", home=f"node:{node.name}")
        await client.board.create_project(board_pb2.CreateProjectRequest(project_id=project, project=home))
        requests = []
        for _ in range(labels):
            picked = rng.sample(range(len(WORDS)), 3)
            task = board_pb2.Task(
                title=" ".join(WORDS[one] for one in picked),
                status=board_pb2.TASK_STATUS_DONE,
                estimate=float((1, 2, 3, 5, 8)[min(max(picked) // 2, 4)]),
            )
            requests.append(board_pb2.CreateTaskRequest(parent=f"projects/{project}", task=task))
        for answer in await client.write_many(requests, timeout_s=30.0):
            assert not isinstance(answer, WeftmeshError), answer
    # A round reads as of a whole second: what was written in this one is not in it yet.
    await asyncio.sleep(1.0)


async def define(node: DevNode, job: str, spec: learning_pb2.JobSpec, version: int = 0) -> None:
    """Make a job, or change its definition."""
    definition = command_pb2.DefineJob(
        job=job, contributors_floor=3, threshold_percent=60, spec=spec.SerializeToString(), version=version
    )
    async with node.client() as client:
        await client.learning.change_learning(learning_pb2.ChangeLearningRequest(define_job=definition))


async def shown(node: DevNode, job: str) -> JobState:
    """What a node's replica says of a job."""
    async with node.client() as client:
        view = await client.learning.get_learning(learning_pb2.GetLearningRequest(job=job, limit=VIEW_LIMIT))
    state = read_job(view, job)
    assert state is not None
    return state


async def until(node: DevNode, job: str, settled: Callable[[JobState], bool], timeout_s: float) -> JobState:
    """What a node's replica says, once it is settled."""
    async with asyncio.timeout(timeout_s):
        while True:
            try:
                state = await shown(node, job)
            except WeftmeshError:
                state = None
            if state is not None and settled(state):
                return state
            await asyncio.sleep(POLL_S)


async def eventually(happened: Callable[[], Awaitable[bool]], timeout_s: float, *, poll_s: float = POLL_S) -> None:
    """Return once it has happened."""
    async with asyncio.timeout(timeout_s):
        while True:
            if await happened():
                return
            await asyncio.sleep(poll_s)


async def connected(leader: str, mesh: DevMesh) -> None:
    """Return once the leader sees everybody."""
    async with mesh.node(leader).client() as client:

        async def all_here() -> bool:
            return len((await client.learning.get_learning()).contributors) == len(mesh.nodes)

        await eventually(all_here, CONNECT_S)


async def model(node: DevNode, state: JobState, number: int) -> bytes:
    """The bytes of a version."""
    async with node.client() as client:
        return await client.learning.get_model(state.versions[number].sha256)


@dataclass
class Coordinators:
    """A coordinator process beside each node.

    Attributes:
        mesh: whose nodes.
        processes: by node.
    """

    mesh: DevMesh
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str) -> None:
        """Start the coordinator of a node."""
        node = self.mesh.node(name)
        with self.log_path(name).open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", "weftmesh.coordinator", "--socket", str(node.socket)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def stop(self, name: str) -> None:
        """Stop it."""
        process = self.processes.pop(name)
        process.terminate()
        try:
            process.wait(10.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def kill(self, name: str) -> None:
        """End it with SIGKILL; its child ends because its standard input closes."""
        process = self.processes.pop(name)
        process.kill()
        process.wait()

    def log_path(self, name: str) -> Path:
        """What it and its children say."""
        return self.mesh.node(name).directory / "coordinator.log"

    def logs(self) -> str:
        """What all of them said."""
        found = (self.log_path(name) for name in self.mesh.nodes)
        return "\n".join(f"{path}\n{path.read_text()}" for path in found if path.exists())


@asynccontextmanager
async def coordinating(mesh: DevMesh) -> AsyncIterator[Coordinators]:
    """Coordinators beside all nodes, for as long as the block runs."""
    all_of_them = Coordinators(mesh)
    try:
        for name in mesh.nodes:
            all_of_them.start(name)
        yield all_of_them
    finally:
        for name in list(all_of_them.processes):
            all_of_them.stop(name)
