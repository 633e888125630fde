"""Writes on a node that is alone: kept through a kill, replayed once and in order, collisions stored for people."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from tests.integration.command_line import done, weftmesh

from weftmesh.board.v1 import board_pb2
from weftmesh.cli.dev_mesh import DevMesh, dev_mesh
from weftmesh.cli.dev_node import DevNode
from weftmesh.cli.exit_codes import ExitCode
from weftmesh.core.errors import NodeUnreachableError
from weftmesh.mesh.v1 import mesh_pb2

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]

PATIENCE_S = 90.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[DevMesh]:
    async with dev_mesh(tmp_path_factory.mktemp("mesh"), 3) as running:
        yield running


async def queued(node: DevNode, *arguments: str) -> str:
    """Run a command whose write is queued; what it printed on stdout."""
    result = await weftmesh(node, "--timeout", "4", *arguments)
    assert result.code == ExitCode.QUEUED, result.err + result.out
    assert f"queued on {node.name} as queuedWrites/" in result.err
    return result.out.strip()


async def status(node: DevNode) -> mesh_pb2.NodeStatus:
    async with node.client() as client:
        return await client.mesh.get_status()


async def drained(mesh: DevMesh, node: DevNode) -> None:
    """Wait until the node's queue is empty and every node has what was in it."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                moments = [await status(each) for each in mesh.nodes.values()]
            except NodeUnreachableError:
                moments = []
            mine = next((one for one in moments if one.node == node.name), None)
            if mine is not None and not mine.queued_writes and len({one.revision for one in moments}) == 1:
                assert len({one.state_hash for one in moments}) == 1
                return
            await asyncio.sleep(0.1)


async def shown(node: DevNode, reference: str) -> dict[str, Any]:
    found: dict[str, Any] = (await weftmesh(node, "--json", "task", "show", reference)).json()
    return found


async def changes(node: DevNode, key: str) -> list[board_pb2.Change]:
    async with node.client() as client:
        listed = await client.board.list_task_history(board_pb2.ListTaskHistoryRequest(name=f"tasks/{key}"))
    return list(listed.changes)


async def make(node: DevNode, project_id: str, *titles: str, policy: board_pb2.MergePolicy | None = None) -> None:
    """A project with tasks."""
    async with node.client() as client:
        project = board_pb2.Project(title=project_id, merge_policy=policy or board_pb2.MERGE_POLICY_ASK)
        await client.board.create_project(board_pb2.CreateProjectRequest(project_id=project_id, project=project))
        for title in titles:
            request = board_pb2.CreateTaskRequest(parent=f"projects/{project_id}", task=board_pb2.Task(title=title))
            await client.board.create_task(request)


async def isolate(mesh: DevMesh, node: DevNode) -> None:
    """Kill every other node, and wait until this one knows that it is alone."""
    for name in mesh.nodes:
        if name != node.name:
            await mesh.kill(name)
    async with asyncio.timeout(PATIENCE_S):
        while (await status(node)).quorum:  # noqa: ASYNC110 - another process's state
            await asyncio.sleep(0.05)


async def test_a_lone_node_keeps_writes_through_a_kill_and_merges_them_later(mesh: DevMesh) -> None:
    first, alone = mesh.first, mesh.node("node3")
    await make(first, "OFF", "as made", "nobody disputes")
    await isolate(mesh, alone)

    one = await queued(alone, "task", "add", "OFF", "queued one")
    two = await queued(alone, "task", "add", "OFF", "queued two")
    await queued(alone, "task", "set", one, "title=queued one, changed", f"parent={two}")
    await queued(alone, "task", "set", "OFF-1", "title=from node3")
    await queued(alone, "task", "set", "OFF-1", "title=from node3 again")
    await queued(alone, "task", "start", "OFF-2")
    refused = await weftmesh(alone, "--timeout", "1", "task", "done", "OFF-2", "--no-queue")
    assert refused.code == ExitCode.NO_QUORUM, refused.err
    nonsense = await weftmesh(alone, "--timeout", "1", "task", "add", "OFF", " ")
    assert nonsense.code == ExitCode.ERROR, nonsense.err

    pending = await shown(alone, "OFF-1")
    assert (pending["task"]["title"], pending["task"]["pending_writes"], len(pending["pending"])) == ("as made", 2, 2)
    assert (await status(alone)).queued_writes == 6
    before = (await weftmesh(alone, "--json", "pending", "ls")).json()["writes"]

    await mesh.kill(alone.name)
    for name in ("node1", "node2"):
        await mesh.restart(name)
    await mesh.settled()
    await done(first, "task", "set", "OFF-1", "title=from node1")
    await done(first, "task", "set", "OFF-2", "label+=urgent")
    await mesh.restart(alone.name)
    await drained(mesh, alone)

    # The state hashes agree, so what one node shows holds for all.
    listed = (await weftmesh(first, "--json", "task", "ls", "OFF")).json()["tasks"]
    assert {task["key"]: task["title"] for task in listed} == {
        "OFF-1": "from node1",
        "OFF-2": "nobody disputes",
        "OFF-3": "queued one, changed",
        "OFF-4": "queued two",
    }
    assert [task["name"] for task in listed[2:]] == [one, two]
    assert [task["open_conflicts"] for task in listed] == [2, 0, 0, 0]
    assert (listed[1]["status"], listed[1]["labels"], listed[2]["parent"]) == ("doing", ["urgent"], two)

    conflicts = (await shown(first, "OFF-1"))["conflicts"]
    assert [(field["yours"], field["theirs"]) for one in conflicts for field in one["fields"]] == [
        ("from node3", "from node1"),
        ("from node3 again", "from node1"),
    ]
    logs = {key: await changes(first, key) for key in ("OFF-1", "OFF-2", "OFF-3", "OFF-4")}
    verbs = {key: [change.verb for change in log] for key, log in logs.items()}
    assert verbs == {
        "OFF-1": ["create", "update", "conflict", "conflict"],
        "OFF-2": ["create", "update", "update"],
        "OFF-3": ["create", "update"],
        "OFF-4": ["create"],
    }
    # Who and when are those of the write, not of the replay.
    replayed = [*logs["OFF-1"][2:], logs["OFF-2"][2], *logs["OFF-3"], *logs["OFF-4"]]
    assert all(change.actor.endswith("@node3") for change in replayed)
    assert {change.time.ToJsonString() for change in replayed} == {write["queue_time"] for write in before}

    applied = (await weftmesh(alone, "--json", "pending", "ls", "--applied")).json()["writes"]
    assert [write["name"] for write in applied] == [write["name"] for write in before]
    assert [write["state"] for write in applied] == ["applied"] * 6
    assert [bool(write["stored_conflict"]) for write in applied] == [False, False, False, True, True, False]


@pytest.mark.slow
async def test_a_project_that_was_made_alone_gets_its_tasks_later(mesh: DevMesh) -> None:
    alone = mesh.node("node3")
    await isolate(mesh, alone)
    assert await queued(alone, "project", "add", "LATER", "--title", "made while alone") == "LATER"
    task = await queued(alone, "task", "add", "LATER", "in a project that waits")

    for name in ("node1", "node2"):
        await mesh.restart(name)
    await mesh.settled()
    await drained(mesh, alone)
    assert (await shown(mesh.first, "LATER-1"))["task"]["name"] == task


async def test_a_write_of_unknown_outcome_is_queued_and_applied_once(mesh: DevMesh) -> None:
    """The leader loses its followers under a write that is in its log."""
    await mesh.settled()
    await make(mesh.first, "ONCE", "as made")
    leader = mesh.node(await mesh.settled())
    others = [name for name in mesh.nodes if name != leader.name]

    await asyncio.gather(*(mesh.kill(name) for name in others))
    for number in range(2):  # the first one may enter the log before the leader notices
        await queued(leader, "task", "add", "ONCE", f"lost {number}")

    for name in others:
        await mesh.restart(name)
    await drained(mesh, leader)

    async with leader.client() as client:
        listed = await client.board.list_tasks(board_pb2.ListTasksRequest(parent="projects/ONCE"))
    assert [task.title for task in listed.tasks] == ["as made", "lost 0", "lost 1"]


async def test_a_write_with_a_quorum_drains_at_once_and_a_refused_one_stays(mesh: DevMesh) -> None:
    await mesh.settled()
    node = mesh.node("node2")
    await make(node, "STRICT", "as made", policy=board_pb2.MERGE_POLICY_REJECT)
    async with node.client() as client:
        task = await client.board.get_task(board_pb2.GetTaskRequest(name="tasks/STRICT-1"))
        update = board_pb2.UpdateTaskRequest(task=board_pb2.Task(name=task.name, title="at once"))
        waiting = await client.board.queue_write(update)
        assert waiting.state == board_pb2.QUEUED_WRITE_STATE_PENDING
    await drained(mesh, node)
    assert (await changes(node, "STRICT-1"))[-1].fields[0].after == "at once"

    await isolate(mesh, node)
    await queued(node, "task", "set", "STRICT-1", "title=too late")
    await mesh.kill(node.name)
    for name in mesh.nodes:
        if name != node.name:
            await mesh.restart(name)
    await mesh.settled()
    await done(mesh.first, "task", "set", "STRICT-1", "title=first come")
    await mesh.restart(node.name)
    await drained(mesh, node)

    (failed,) = (await weftmesh(node, "--json", "pending", "ls")).json()["writes"]
    assert (failed["state"], failed["write"]["update_task"]["task"]["title"]) == ("failed", "too late")
    assert (await status(node)).failed_queued_writes == 1
    assert "FAILED" in await done(node, "status")

    await done(node, "project", "set", "STRICT", "--merge-policy", "ask")
    await done(node, "pending", "retry", failed["name"].removeprefix("queuedWrites/"))
    await drained(mesh, node)
    (conflict,) = (await shown(node, "STRICT-1"))["conflicts"]
    assert conflict["fields"][0]["yours"] == "too late"
