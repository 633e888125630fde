"""Sixteen real nodes on this machine: a few vote, the others observe, and each has one project's issues at home."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from benchmarks.learning.dataset import raw_rows
from weftmesh.board.v1 import board_pb2
from weftmesh.cli.dev_mesh import DevMesh, dev_mesh, free_ports
from weftmesh.cli.dev_node import DevNode
from weftmesh.core.errors import WeftmeshError
from weftmesh.mesh.v1 import mesh_pb2
from weftmesh.runtime.config import load_config
from weftmesh.runtime.identity.founding import join_cluster
from weftmesh.runtime.identity.join_line import JoinLine

WRITES: Final = 200
"""Tasks that are written in one go."""
STOP_S: Final = 10.0
HELD_OUT_SHARE: Final = 0.2
"""What a learner leaves for evaluation: the test rows, but for the few that are left out here."""


@asynccontextmanager
async def nodes_of(directory: Path, count: int, voters: int) -> AsyncIterator[tuple[DevMesh, list[DevNode]]]:
    """The mesh of the voters, and all nodes, voters first; all have learners."""
    observers: list[DevNode] = []
    async with dev_mesh(directory, voters, learners=True) as mesh:
        try:
            while voters + len(observers) < count:
                observers.append(await _observer(mesh, f"node{voters + len(observers) + 1}"))
            yield mesh, [*mesh.nodes.values(), *observers]
        finally:
            await asyncio.gather(*(node.stop() for node in observers))


@asynccontextmanager
async def beside(nodes: Sequence[DevNode], module: str, options: Callable[[DevNode], list[str]]) -> AsyncIterator[None]:
    """A process of `module` beside each of these nodes, for as long as the block runs."""
    processes = [_started(node, module, options(node)) for node in nodes]
    try:
        yield
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            await asyncio.to_thread(process.wait, STOP_S)


def project_of(node: DevNode) -> str:
    """The id of a node's project; ids are the whole mesh's."""
    return node.name.upper()


async def fill(node: DevNode, path: Path) -> int:
    """Write one project's issues as done tasks of the node's own; how many may be trained on.

    The learner holds the newest fifth out. Where that would be less than the test rows, by a row, a test row is left
    out, so that none is trained on.
    """
    rows = raw_rows(path)
    history = sum(row["split_mark"] != "test" for row in rows)
    while round(HELD_OUT_SHARE * len(rows)) < len(rows) - history:
        rows.pop()
    async with node.client() as client:
        home = board_pb2.Project(title=path.name.removesuffix(".csv.gz"), home=f"node:{node.name}")
        await client.board.create_project(board_pb2.CreateProjectRequest(project_id=project_of(node), project=home))
        # Two parts one after the other: every test row is later than every row that is trained on.
        for part in (rows[:history], rows[history:]):
            for begin in range(0, len(part), WRITES):
                answers = await client.write_many(
                    [_task(node, row) for row in part[begin : begin + WRITES]], timeout_s=60.0
                )
                for answer in answers:
                    if isinstance(answer, WeftmeshError):
                        raise answer
            await asyncio.sleep(0.01)
    return history


def _task(node: DevNode, row: dict[str, str]) -> board_pb2.CreateTaskRequest:
    task = board_pb2.Task(
        title="".join(one if one.isprintable() else " " for one in row["title"]),
        description=row["description"],
        status=board_pb2.TASK_STATUS_DONE,
        estimate=float(row["storypoint"]),
    )
    return board_pb2.CreateTaskRequest(parent=f"projects/{project_of(node)}", task=task)


async def _observer(mesh: DevMesh, name: str) -> DevNode:
    listen, enroll = (f"127.0.0.1:{port}" for port in free_ports(2))
    node = DevNode(name, mesh.directory / name, listen, enroll, learner=True)
    node.write_config(mesh.fsync)
    async with mesh.first.client() as client:
        token = await client.mesh.create_join_token(mesh_pb2.CreateJoinTokenRequest(node_name=name), timeout_s=60.0)
    config = load_config(node.config_path, environment={})
    await join_cluster(config, JoinLine.parse(token.join_command), name, listen, observer=True)
    node.start()
    await node.ready()
    return node


def _started(node: DevNode, module: str, options: list[str]) -> subprocess.Popen[bytes]:
    with (node.directory / f"{module}.log").open("ab") as log:
        command = [sys.executable, "-m", module, *options]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)  # noqa: S603, our own modules
