"""Backups of real nodes: taken while they work, verified, and restored onto a new mesh that others join."""

from __future__ import annotations

import asyncio
import os
import uuid
from pathlib import Path

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from tests.integration.bare_nodes import bare_node, join, offline, running
from tests.integration.command_line import done, weftmesh

from weftmesh.board.v1 import board_pb2
from weftmesh.cli.dev_mesh import DevMesh
from weftmesh.cli.dev_node import DevNode
from weftmesh.cli.exit_codes import ExitCode

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(240),
    pytest.mark.asyncio(loop_scope="module"),
]

SETTLE_S = 60.0
REQUEST_ID = str(uuid.UUID(int=7, version=4))


async def keygen(path: Path) -> str:
    made = await weftmesh(None, "--json", "backup", "keygen", "--to", str(path))
    return str(made.json()["recipient"])


async def until_state(node: DevNode, wanted: tuple[str, int]) -> None:
    """Wait until `node` has this state hash at this revision."""
    async with asyncio.timeout(SETTLE_S), node.client() as client:
        while True:
            status = await client.mesh.get_status()
            if (status.state_hash, status.revision) == wanted:
                return
            await asyncio.sleep(0.1)


async def fill(mesh: DevMesh) -> board_pb2.CreateTaskRequest:
    """Projects, tasks, history, a stored conflict, and a task of one node's own; returns a request to repeat."""
    node = mesh.first
    await done(node, "project", "add", "HOME", "--home", f"node:{node.name}")
    await done(node, "task", "add", "HOME", "Stays here")
    name = "projects/BACK/tasks/BACK-1"
    request = create("BACK", "Asked once")
    request.request_id = REQUEST_ID
    async with node.client() as client:
        await client.board.create_project(board_pb2.CreateProjectRequest(project_id="BACK"))
        for title in ("First words", "Other"):
            await client.board.create_task(create("BACK", title))
        await client.board.create_task(request)
        await client.board.delete_task(board_pb2.DeleteTaskRequest(name="projects/BACK/tasks/BACK-2"))
        seen = await client.board.get_task(board_pb2.GetTaskRequest(name=name))
        await client.board.update_task(titled(name, "Second words"))
        late = titled(name, "Offline words")
        late.base.CopyFrom(seen)
        late.queued = True
        await client.board.update_task(late)
    return request


def create(project: str, title: str) -> board_pb2.CreateTaskRequest:
    return board_pb2.CreateTaskRequest(parent=f"projects/{project}", task=board_pb2.Task(title=title))


def titled(name: str, title: str) -> board_pb2.UpdateTaskRequest:
    task = board_pb2.Task(name=name, title=title)
    return board_pb2.UpdateTaskRequest(task=task, update_mask=FieldMask(paths=["title"]))


async def test_a_backup_comes_back_on_a_new_mesh_that_others_join(mesh: DevMesh, tmp_path: Path) -> None:
    request = await fill(mesh)
    recipient = await keygen(tmp_path / "key")
    backup = tmp_path / "board.age"
    taken = (
        await weftmesh(
            *(mesh.first, "--json", "backup", "--to", str(backup), "--recipient", recipient, "--local"),
            *("--verify-with", str(tmp_path / "key")),
        )
    ).json()
    replicated, own = taken["boards"]
    assert taken["verified"] is True
    assert (own["home"], own["tasks"]) == ("node:node1", 1)
    assert b"Second words" not in backup.read_bytes()
    verified = await weftmesh(None, "--json", "backup", "verify", str(backup), "--identity", str(tmp_path / "key"))
    assert verified.json()["boards"] == taken["boards"]

    one, two = bare_node(tmp_path, "node1"), bare_node(tmp_path, "node2")
    assert (await offline(one, "init", "--cluster", "again")).code == 0
    restored = await offline(one, "--json", "restore", str(backup), "--identity", str(tmp_path / "key"))
    assert restored.json()["boards"] == taken["boards"]
    assert restored.json()["cluster"] == "again"
    state = (replicated["state_hash"], replicated["revision"])
    async with running(one):
        await until_state(one, state)
        await join(one, two)
        async with running(two):
            await until_state(two, state)
            await _still_works(one, two, request)
            again = await offline(one, "restore", str(backup), "--identity", str(tmp_path / "key"))
            assert (again.code, "holds entries" in again.err) == (ExitCode.ERROR, True)
    # What was restored is behind the log: a restart begins from it again.
    async with running(one, two):
        async with asyncio.timeout(SETTLE_S):
            while "Written later" not in await done(two, "task", "ls", "BACK"):
                pass


async def _still_works(one: DevNode, two: DevNode, request: board_pb2.CreateTaskRequest) -> None:
    history = await done(two, "task", "log", "BACK-1")
    assert all(words in history for words in ("First words", "Second words", "Offline words"))
    assert "BACK-1/1" in await done(two, "task", "conflicts")
    assert "Stays here" in await done(one, "task", "ls", "HOME")
    async with two.client() as client:
        status = await client.mesh.get_status()
        repeated = await client.board.create_task(request)
        assert repeated.key == "BACK-3"
        assert (await client.mesh.get_status()).revision == status.revision, "a remembered request is not done again"
    await done(two, "task", "add", "BACK", "Written later")


async def test_what_is_taken_under_load_is_one_picture(mesh: DevMesh, tmp_path: Path) -> None:
    recipient = await keygen(tmp_path / "key")
    await done(mesh.first, "project", "add", "LOAD")
    stop = asyncio.Event()

    async def write(node: DevNode) -> int:
        count = 0
        async with node.client() as client:
            while not stop.is_set():
                await client.write(create("LOAD", f"{node.name} {count}"))
                count += 1
        return count

    writers = [asyncio.create_task(write(node)) for node in mesh.nodes.values()]
    try:
        await done(
            *(mesh.node("node2"), "backup", "--to", str(tmp_path / "board.age"), "--recipient", recipient),
            *("--verify-with", str(tmp_path / "key")),
        )
    finally:
        stop.set()
        counts = await asyncio.gather(*writers)
    assert min(counts) > 0


async def test_files_that_are_not_whole_not_ours_or_not_for_us_are_refused(mesh: DevMesh, tmp_path: Path) -> None:
    recipient = await keygen(tmp_path / "key")
    await keygen(tmp_path / "other")
    backup = tmp_path / "board.age"
    await done(mesh.first, "backup", "--to", str(backup), "--recipient", recipient)
    whole = backup.read_bytes()
    fresh = bare_node(tmp_path, "fresh")
    assert (await offline(fresh, "init", "--cluster", "fresh")).code == 0

    async def refusal(content: bytes, key: str = "key") -> str:
        (tmp_path / "bad.age").write_bytes(content)
        options = [str(tmp_path / "bad.age"), "--identity", str(tmp_path / key)]
        restored = await offline(fresh, "restore", *options)
        assert restored.code == ExitCode.ERROR
        assert str(tmp_path / "bad.age") in restored.err
        return restored.err

    middle = len(whole) // 2
    assert "cut short" in await refusal(whole[:-20])
    assert "changed" in await refusal(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    assert "not encrypted to this identity" in await refusal(whole, "other")
    assert "no backup" in await refusal(b"PK\3\4 something else")
    left = [
        path for path in (fresh.directory / "data").rglob("*") if "snapshots" in path.parts or "backup" in path.name
    ]
    assert left == []


async def test_a_backup_needs_a_majority_and_the_local_socket(mesh: DevMesh, tmp_path: Path) -> None:
    recipient = await keygen(tmp_path / "key")
    backup = tmp_path / "board.age"
    try:
        for name in ("node2", "node3"):
            await mesh.kill(name)
        alone = await weftmesh(mesh.first, "backup", "--to", str(backup), "--recipient", recipient)
    finally:
        for name in ("node2", "node3"):
            await mesh.restart(name)
        await mesh.settled()
    assert alone.code == ExitCode.NO_QUORUM
    assert os.listdir(tmp_path) == ["key"]
