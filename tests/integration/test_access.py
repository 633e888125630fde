"""Roles on a real mesh: what another Unix user of the machine sees and changes, and what the audit log says of it."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory

import grpc
import pytest
import pytest_asyncio
from tests.integration.another_user import AnotherUser, another_user
from tests.integration.command_line import done, weftmesh

from weftmesh.board.v1 import board_pb2, board_pb2_grpc
from weftmesh.cli.dev_mesh import DevMesh, dev_mesh
from weftmesh.cli.exit_codes import ExitCode
from weftmesh.runtime.config import load_config
from weftmesh.runtime.identity.credentials import NodeIdentity, open_channel
from weftmesh.runtime.identity.founding import identity_store

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

SECRET = "the merger with Initech"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh() -> AsyncIterator[DevMesh]:
    # Not below pytest's own directory, which lets no other user through.
    with TemporaryDirectory(prefix="weftmesh-access-") as directory:
        async for running in founded(Path(directory)):
            yield running


async def founded(directory: Path) -> AsyncIterator[DevMesh]:
    async with dev_mesh(directory, 1) as running:
        node = running.first
        for project in ("OPEN", "PRIV"):
            await done(node, "project", "add", project, "--title", f"Project {project}")
        await done(node, "task", "add", "OPEN", "a public thing")
        await done(node, "task", "add", "PRIV", SECRET)
        yield running


@pytest.fixture(scope="module")
def nobody(mesh: DevMesh) -> AnotherUser:
    return another_user(mesh)


async def grant(mesh: DevMesh, *arguments: str) -> str:
    """Once the mesh is at the level that has roles; what is said besides."""
    for _ in range(60):
        result = await weftmesh(mesh.first, "access", "grant", *arguments)
        if result.code == 0:
            return result.err
        assert "level" in result.err, result.err
        await asyncio.sleep(0.5)
    raise AssertionError(result.err)


@pytest.mark.asyncio(loop_scope="module")
async def test_who_is_in_the_sockets_group_does_everything_until_there_is_a_role(
    mesh: DevMesh, nobody: AnotherUser
) -> None:
    assert SECRET in (await nobody.weftmesh(mesh.first, "task", "ls", "PRIV")).out
    assert (await nobody.weftmesh(mesh.first, "task", "add", "PRIV", "another")).code == 0
    assert "open" in (await nobody.weftmesh(mesh.first, "access", "whoami")).out

    taking = await nobody.weftmesh(mesh.first, "access", "grant", "user:nobody", "admin", "mesh")

    assert taking.code == ExitCode.FORBIDDEN, "nobody makes oneself an admin"


@pytest.mark.asyncio(loop_scope="module")
async def test_a_first_role_hides_a_project_from_everybody_else(mesh: DevMesh, nobody: AnotherUser) -> None:
    watching = await nobody.start(mesh.first, "--json", "task", "watch", "PRIV")
    everything = await nobody.start(mesh.first, "--json", "task", "watch")
    await asyncio.sleep(3)
    assert "knows no user somebody" in await grant(mesh, "user:somebody", "editor", "PRIV")

    out, err = await asyncio.wait_for(watching.communicate(), 60)
    assert watching.returncode == ExitCode.FORBIDDEN, (out, err)
    listed = await nobody.weftmesh(mesh.first, "--json", "project", "ls")
    assert [one["name"] for one in json.loads(listed.out)["projects"]] == ["projects/OPEN"]
    for arguments in (
        ("task", "ls", "PRIV"),
        ("task", "show", "PRIV-1"),
        ("task", "log", "PRIV-1"),
        ("project", "show", "PRIV"),
    ):
        refused = await nobody.weftmesh(mesh.first, *arguments)
        assert refused.code == ExitCode.FORBIDDEN, (arguments, refused)
        assert SECRET not in refused.out + refused.err
        assert "viewer" in refused.err
    assert "access grant user:nobody@node1 viewer PRIV" in refused.err
    for write in (("task", "add", "PRIV", "x"), ("task", "set", "PRIV-1", "status=done")):
        assert (await nobody.weftmesh(mesh.first, *write)).code == ExitCode.FORBIDDEN
    exported = await nobody.weftmesh(mesh.first, "export", "jsonl")
    assert SECRET not in exported.out

    await done(mesh.first, "task", "add", "PRIV", SECRET + " again")
    await done(mesh.first, "task", "add", "OPEN", "seen by all")
    await asyncio.sleep(2)
    everything.terminate()
    seen, _ = await everything.communicate()
    assert SECRET.encode() + b" again" not in seen, "a watch of everything leaves out what was closed"
    assert b"seen by all" in seen


@pytest.mark.asyncio(loop_scope="module")
async def test_each_role_permits_what_it_says(mesh: DevMesh, nobody: AnotherUser) -> None:
    await grant(mesh, "user:nobody", "viewer", "PRIV")
    assert SECRET in (await nobody.weftmesh(mesh.first, "task", "ls", "PRIV")).out
    assert (await nobody.weftmesh(mesh.first, "task", "add", "PRIV", "x")).code == ExitCode.FORBIDDEN

    await grant(mesh, f"user:nobody@{mesh.first.name}", "editor", "PRIV")
    assert (await nobody.weftmesh(mesh.first, "task", "add", "PRIV", "x")).code == 0
    deleting = await nobody.weftmesh(mesh.first, "project", "rm", "PRIV")
    assert deleting.code == ExitCode.FORBIDDEN
    assert "admin" in deleting.err

    await grant(mesh, "user:nobody", "admin", "PRIV")
    assert (await nobody.weftmesh(mesh.first, "access", "grant", "user:eve", "viewer", "PRIV")).code == 0
    assert (await nobody.weftmesh(mesh.first, "access", "revoke", "user:eve", "PRIV")).code == 0
    elsewhere = await nobody.weftmesh(mesh.first, "access", "grant", "user:eve", "viewer", "OPEN")
    assert elsewhere.code == ExitCode.FORBIDDEN
    check = await nobody.weftmesh(mesh.first, "access", "check", "user:eve", "view", "PRIV")
    assert check.code == ExitCode.FORBIDDEN
    for on in ("user:nobody", f"user:nobody@{mesh.first.name}"):
        await done(mesh.first, "access", "revoke", on, "PRIV")


@pytest.mark.asyncio(loop_scope="module")
async def test_a_node_that_calls_by_its_certificate_follows_roles_too(mesh: DevMesh) -> None:
    node = mesh.first
    config = load_config(node.config_path, environment={})
    identity = NodeIdentity(identity_store(config.node.data_dir).load())
    async with open_channel(identity, node.name, config.mesh.advertise) as channel:
        board = board_pb2_grpc.BoardServiceStub(channel)
        await board.ListTasks(board_pb2.ListTasksRequest(parent="projects/OPEN"))
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await board.ListTasks(board_pb2.ListTasksRequest(parent="projects/PRIV"))
        assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
        assert "knows no" not in await grant(mesh, f"node:{node.name}", "viewer", "PRIV")
        listed = await board.ListTasks(board_pb2.ListTasksRequest(parent="projects/PRIV"))
    assert len(listed.tasks) >= 2


@pytest.mark.asyncio(loop_scope="module")
async def test_the_audit_log_says_who_did_and_who_tried(mesh: DevMesh, nobody: AnotherUser) -> None:
    lines = (await done(mesh.first, "--json", "audit", "ls", "-n", "0")).splitlines()
    records = [json.loads(line) for line in lines]
    assert not [line for line in lines if "Initech" in line or "merger" in line], "no text of a task is in it"
    theirs = [one for one in records if one.get("actor") == f"nobody@{mesh.first.name}" and one["from"] != "log"]
    assert {"done", "denied"} <= {one["outcome"] for one in theirs}
    assert all(one["from"].startswith(f"uid={nobody.uid} pid=") for one in theirs)
    granted = [one for one in records if one.get("method") == "AccessService/ChangeAccess" and one["outcome"] == "done"]
    assert any(one["basis"] == "break_glass" and one["from"].startswith("uid=0") for one in granted)
    by_node = [one for one in records if one.get("actor") == f"node:{mesh.first.name}"]
    assert any("serial=" in one["from"] for one in by_node if one["outcome"] == "denied")
    assert (await nobody.weftmesh(mesh.first, "audit", "ls")).code == ExitCode.FORBIDDEN
    assert "passed" in await done(mesh.first, "audit", "verify")


def written(audit: Path, words: bytes) -> Path:
    """The newest file of an audit log once it has these words; records wait for the disk for a moment."""
    deadline_s = time.monotonic() + 60
    while words not in (newest := max(audit.glob("*.audit"))).read_bytes():
        assert time.monotonic() < deadline_s, f"{newest} has no {words!r}"
        time.sleep(0.05)
    return newest


@pytest.mark.slow
@pytest.mark.asyncio(loop_scope="module")
async def test_roles_hold_after_a_restart_and_a_changed_audit_log_is_found(
    mesh: DevMesh, nobody: AnotherUser, tmp_path: Path
) -> None:
    await grant(mesh, "user:root", "admin", "PRIV")
    exported = tmp_path / "audit.jsonl"
    await done(mesh.first, "audit", "export", str(exported))
    assert "AccessService/ChangeAccess" in exported.read_text()
    await mesh.restart(mesh.first.name)
    os.chmod(mesh.first.socket.parent, 0o711)
    assert (await nobody.weftmesh(mesh.first, "task", "ls", "PRIV")).code == ExitCode.FORBIDDEN

    denied = b'"outcome":"denied"'
    newest = await asyncio.to_thread(written, mesh.first.directory / "data" / "audit", denied)
    data = bytearray(newest.read_bytes())
    place = data.index(denied)
    data[place : place + 18] = b'"outcome":"done"  '
    newest.chmod(0o600)
    newest.write_bytes(bytes(data))
    found = await weftmesh(mesh.first, "audit", "verify")
    assert found.code == ExitCode.ERROR
    assert newest.name in found.out
