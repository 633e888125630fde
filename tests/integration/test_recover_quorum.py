"""Two of three nodes are gone for good: the third goes on alone, and a mesh grows from it again."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest
from tests.integration.bare_nodes import bare_node, join, running
from tests.integration.command_line import done, weftmesh

from weftmesh.board.v1 import board_pb2
from weftmesh.cli.dev_mesh import DevMesh, dev_mesh
from weftmesh.cli.dev_node import DevNode
from weftmesh.cli.exit_codes import ExitCode
from weftmesh.mesh.v1 import mesh_pb2

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

SETTLE_S = 90.0
WRITES = 20


async def status_of(node: DevNode) -> mesh_pb2.NodeStatus:
    async with node.client() as client:
        return await client.mesh.get_status()


async def until_quorum(node: DevNode, wanted: bool, members: list[str] | None = None) -> mesh_pb2.NodeStatus:
    """Wait until `node` has a quorum or has none, and knows these members."""
    async with asyncio.timeout(SETTLE_S):
        while True:
            status = await status_of(node)
            names = [member.name for member in status.members]
            if status.quorum is wanted and members in (None, names):
                return status
            await asyncio.sleep(0.1)


async def acknowledged_writes(mesh: DevMesh) -> dict[str, list[str]]:
    """Keys of what each node acknowledged."""

    async def write(node: DevNode) -> list[str]:
        async with node.client() as client:
            task = board_pb2.Task(title=f"by {node.name}")
            request = board_pb2.CreateTaskRequest(parent="projects/LAST", task=task)
            return [(await client.board.create_task(request)).key for _ in range(WRITES)]

    keys = await asyncio.gather(*(write(node) for node in mesh.nodes.values()))
    return dict(zip(mesh.nodes, keys, strict=True))


async def keys_on(node: DevNode) -> set[str]:
    async with node.client() as client:
        return {task.key async for task in client.list_tasks("projects/LAST")}


async def test_the_survivor_serves_again_and_a_mesh_grows_from_it(tmp_path: Path) -> None:
    async with dev_mesh(tmp_path / "mesh", 3) as mesh:
        one, two, _ = mesh.nodes.values()
        await done(one, "project", "add", "LAST")
        refused = await weftmesh(one, "recover-quorum", "--yes-lose-data", "dev")
        assert (refused.code, "has a quorum" in refused.err) == (ExitCode.ERROR, True)
        acknowledged = await acknowledged_writes(mesh)
        await asyncio.gather(mesh.kill("node2"), mesh.kill("node3"))
        await until_quorum(one, wanted=False)

        had = await keys_on(one)
        await _refuses_what_is_not_meant(one)
        told = await weftmesh(one, "recover-quorum", "--yes-lose-data", "dev")
        assert told.code == 0, told.err
        assert "lost touch with its leader" in told.err
        status = await until_quorum(one, wanted=True, members=["node1"])
        assert await keys_on(one) >= had >= set(acknowledged["node1"])
        await done(one, "task", "add", "LAST", "Alone")
        await mesh.restart("node1")
        await until_quorum(one, wanted=True, members=["node1"])

        # One of the old mesh comes back as it was: it wins nothing, and disturbs nobody.
        two.start()
        await two.ready()
        await asyncio.sleep(3)  # two election timeouts, for whatever it may try
        async with asyncio.timeout(SETTLE_S):
            while "wipe its data directory" not in two.last_words(20_000):  # noqa: ASYNC110, another process's log
                await asyncio.sleep(0.1)
        assert not (await status_of(two)).quorum
        assert (await status_of(one)).term <= status.term + 2
        await done(one, "task", "add", "LAST", "Undisturbed")
        await two.stop()
        await _grows(one, two, tmp_path)


async def _refuses_what_is_not_meant(one: DevNode) -> None:
    other = await weftmesh(one, "recover-quorum", "--yes-lose-data", "production")
    assert (other.code, "called 'dev'" in other.err) == (ExitCode.ERROR, True)
    tried = await weftmesh(one, "--json", "recover-quorum", "--dry-run")
    assert tried.json()["recovered"] is False
    assert [voter["answers"] for voter in tried.json()["others"]] == [False, False]
    assert tried.json()["leader_lost_time"] is not None
    assert not (await status_of(one)).quorum


async def _grows(one: DevNode, two: DevNode, directory: Path) -> None:
    """A wiped node under its old name, and one that is new."""
    shutil.rmtree(two.directory / "data")
    new = bare_node(directory, "node4")
    await join(one, two)
    await join(one, new)
    async with running(two, new):
        await until_quorum(new, wanted=True, members=["node1", "node2", "node4"])
        await done(new, "task", "add", "LAST", "Together again")
        assert (await weftmesh(one, "verify")).code == 0
        assert await keys_on(two) >= await keys_on(one)
