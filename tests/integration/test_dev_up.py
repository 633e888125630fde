"""`weftmesh dev up` on a mesh that runs: what is asked for is done or refused, and nothing stops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from tests.integration.command_line import Result, weftmesh

from weftmesh.cli.dev_mesh import DevMesh, dev_mesh

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(240)]
ROUTER_S = 60.0


@pytest_asyncio.fixture
async def mesh(tmp_path: Path) -> AsyncIterator[DevMesh]:
    async with dev_mesh(tmp_path / "mesh", 1) as running:
        yield running
        await DevMesh.load(running.directory).down()


async def up(mesh: DevMesh, *options: str) -> Result:
    return await weftmesh(None, "dev", "up", "--dir", str(mesh.directory), "--detach", "--no-learning", *options)


async def router_answers(mesh: DevMesh) -> None:
    while True:
        if (await weftmesh(mesh.first, "route", "table")).code == 0:
            return
        await asyncio.sleep(0.1)


async def test_a_mesh_that_runs_gets_routers_and_refuses_what_it_cannot_take(mesh: DevMesh) -> None:
    for options, why in ((("--nodes", "2"), "has 1 nodes, and not 2"), (("--no-fsync",), "made with fsync")):
        refused = await up(mesh, *options)
        assert refused.code == 1, refused.err + refused.out
        assert why in refused.err
        assert mesh.first.running

    assert (await up(mesh, "--routers", "--nodes", "1")).code == 0
    await asyncio.wait_for(router_answers(mesh), ROUTER_S)
    assert DevMesh.load(mesh.directory).first.router
    assert DevMesh.load(mesh.directory).first.pid == mesh.first.pid
