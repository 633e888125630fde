"""All nodes lose power at once and come back; a node whose disk lied refuses to start."""

from __future__ import annotations

import asyncio
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from examples.demo import agreed_states

from weftmesh.board.v1 import board_pb2
from weftmesh.cli.dev_mesh import DevMesh, dev_mesh

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


def create(title: str) -> board_pb2.CreateTaskRequest:
    return board_pb2.CreateTaskRequest(parent="projects/SAFE", task=board_pb2.Task(title=title))


async def make_tasks(mesh: DevMesh, count: int) -> set[str]:
    async with mesh.first.client() as client:
        project = board_pb2.Project(title="safe")
        await client.board.create_project(board_pb2.CreateProjectRequest(project_id="SAFE", project=project))
        answers = await client.write_many([create(f"task {number}") for number in range(count)])
    return {answer.name for answer in answers if isinstance(answer, board_pb2.WriteApplied)}


async def test_every_acknowledged_write_survives_the_death_of_all_nodes(tmp_path: Path) -> None:
    async with dev_mesh(tmp_path, 3) as mesh:
        acknowledged = await make_tasks(mesh, 500)
        assert len(acknowledged) == 500
        await asyncio.gather(*(mesh.kill(name, signal.SIGKILL) for name in mesh.nodes))
        await mesh.up(3)
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(node.client()) for node in mesh.nodes.values()]
            await agreed_states(clients)
            for client in clients:
                found = {task.name async for task in client.list_tasks("projects/SAFE")}
                assert found == acknowledged


async def test_a_damaged_log_stops_the_node_and_says_what_to_do(tmp_path: Path) -> None:
    async with dev_mesh(tmp_path, 1) as mesh:
        await make_tasks(mesh, 200)
        await mesh.kill("node1", signal.SIGTERM)
        node = mesh.node("node1")
        segments = [path for path in (node.directory / "data/mesh/wal").iterdir() if path.name != "lock"]
        segment = max(segments, key=lambda path: len(path.read_bytes().rstrip(b"\0")))
        damaged = bytearray(segment.read_bytes())
        used = len(damaged.rstrip(b"\0"))
        damaged[used // 2] ^= 0x10
        segment.write_bytes(damaged)
        node.start()
        assert await node.ended(60), "the node runs on with a damaged log"
        words = node.last_words(4_000)
        assert segment.name in words, words
        assert "join" in words, words
