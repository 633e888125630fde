"""A node that the others turn away says so, instead of asking for a majority that is there."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from tests.integration.command_line import Result, done, weftmesh

from weftmesh.cli.dev_mesh import DevMesh, dev_mesh
from weftmesh.cli.exit_codes import ExitCode
from weftmesh.runtime.config import load_config
from weftmesh.runtime.identity.founding import join_cluster
from weftmesh.runtime.identity.join_line import JoinLine

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(240)]
PATIENCE_S = 60.0


@pytest_asyncio.fixture
async def mesh(tmp_path: Path) -> AsyncIterator[DevMesh]:
    async with dev_mesh(tmp_path, 3) as running:
        await done(running.first, "project", "add", "PAY")
        yield running


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async def poll() -> None:
        while True:
            if await condition():
                return
            await asyncio.sleep(0.1)

    await asyncio.wait_for(poll(), PATIENCE_S)


async def alone(mesh: DevMesh, *words: str) -> None:
    """Change the mesh by a command on node1; return once node3 hears no leader any more."""

    async def changed() -> bool:
        return (await weftmesh(mesh.first, *words)).code == 0

    async def node3_is_alone() -> bool:
        async with mesh.node("node3").client() as client:
            return not (await client.mesh.get_status()).quorum

    await until(changed)  # the feature level is raised a moment after a mesh was made
    await until(node3_is_alone)


async def on_node3(mesh: DevMesh, *words: str) -> Result:
    return await weftmesh(mesh.node("node3"), "--timeout", "2", *words)


async def test_a_revoked_node_queues_and_says_how_it_is_let_in_again(mesh: DevMesh) -> None:
    await alone(mesh, "cert", "revoke", "node3", "--reason", "laptop stolen")

    queued = await on_node3(mesh, "task", "add", "PAY", "Written on a revoked node")
    assert queued.code == ExitCode.QUEUED, queued.err
    for words in ("is revoked (laptop stolen)", "weftmesh cert show", "join --again", "when node3 is let in again"):
        assert words in queued.err

    for command in (("task", "add", "PAY", "x"), ("project", "set", "PAY", "--title", "Pay")):
        refused = await on_node3(mesh, *command, "--no-queue")
        assert refused.code == ExitCode.NO_QUORUM
        assert "no quorum: node" in refused.err
        assert "is revoked (laptop stolen)" in refused.err


async def test_a_removed_node_refuses_what_it_could_never_replay(mesh: DevMesh) -> None:
    await alone(mesh, "members", "rm", "node3")

    refused = await on_node3(mesh, "task", "add", "PAY", "Written on a node that is gone")
    assert refused.code == ExitCode.NO_QUORUM, refused.err + refused.out
    assert "node3 is not a member of this mesh, or no longer: node" in refused.err
    assert "weftmesh purge" in refused.err
    assert "queuedWrites" not in (await on_node3(mesh, "--json", "pending", "ls")).out


async def test_a_node_whose_peers_are_dead_has_no_quorum_and_nothing_else(mesh: DevMesh) -> None:
    for name in ("node1", "node2"):
        await mesh.kill(name)
    queued = await on_node3(mesh, "task", "add", "PAY", "Written alone")
    assert queued.code == ExitCode.QUEUED
    assert "when the mesh is back" in queued.err


@pytest.mark.parametrize("noted", [True, False], ids=["", "the crash came before the note"])
async def test_a_member_that_once_came_back_stays_out_when_it_is_removed(mesh: DevMesh, noted: bool) -> None:
    node3 = mesh.node("node3")
    await mesh.kill("node3", signal.SIGTERM)
    token = (await weftmesh(mesh.first, "--json", "token", "create", "--for", "node3")).json()["token"]
    config, line = load_config(node3.config_path, environment={}), JoinLine.parse(token["join_command"])
    await join_cluster(config, line, "node3", node3.listen, again=True)
    await mesh.restart("node3")
    await mesh.settled()
    if not noted:
        await mesh.kill("node1")
        tokens = mesh.first.directory / "data" / "identity" / "tokens.json"
        tokens.write_text(tokens.read_text().replace('"admitted": true', '"admitted": false'))
        await mesh.restart("node1")
        await mesh.settled()

    await alone(mesh, "members", "rm", "node3")
    await mesh.restart("node3")

    async def node3_is_turned_away() -> bool:
        return "join with a new token" in node3.last_words(20_000)

    await until(node3_is_turned_away)
    assert "node3" not in await done(mesh.first, "members")
