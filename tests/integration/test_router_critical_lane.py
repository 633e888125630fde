"""A router whose critical probes are made by the critical lane: the same tables, another process asks."""

from __future__ import annotations

import asyncio
import dataclasses
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.integration.backends import backends
from tests.integration.test_router import agreed, apply, table_when

from weftmesh.cli.dev_mesh import dev_mesh
from weftmesh.cli.dev_node import DevNode
from weftmesh.client.routing import connect_router
from weftmesh.core.ola.model import ServiceClass

pytestmark = [pytest.mark.alone, pytest.mark.integration, pytest.mark.timeout(240)]
CHILD = b"weftmesh.runtime.lanes.critical.child"


@asynccontextmanager
async def router(node: DevNode, directory: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "weftmesh.router", "--critical-lane", "--socket", str(node.socket)),
        *("--listen", str(directory / "router.sock"), "--state-dir", str(directory / "state")),
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def children_of(pid: int) -> list[int]:
    """Lanes that this process started."""
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((directory / "stat").read_bytes().rpartition(b")")[2].split()[1])
            if parent == pid and CHILD in (directory / "cmdline").read_bytes():
                found.append(int(directory.name))
        except FileNotFoundError:
            continue  # it ended meanwhile
    return found


def there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def test_critical_probes_come_from_the_lane_and_lead_to_the_same_tables(tmp_path: Path) -> None:
    async with dev_mesh(tmp_path / "mesh", 1) as mesh, backends(3) as made, mesh.first.client() as client:
        await apply(client, dataclasses.replace(agreed("pay", made), service_class=ServiceClass.CRITICAL))
        async with router(mesh.first, tmp_path) as process, connect_router(str(tmp_path / "router.sock")) as api:
            await table_when(api, "pay", lambda one: len(one.rows) == 3)
            async with asyncio.timeout(60):
                while min(one.asked for one in made) < 3:  # noqa: ASYNC110 - asked from another process
                    await asyncio.sleep(0.05)
            (lane,) = children_of(process.pid)
            made[1].status = 500
            found = await table_when(api, "pay", lambda one: one.rows[1].weight == 0.0)
            assert found.rows[1].condition == "ejected"
            critical = (await api.get_lanes()).critical
            assert critical.starts >= 9
            assert critical.HasField("late_p99_us")
            process.terminate()
            assert await process.wait() == 0
            assert not there(lane)
