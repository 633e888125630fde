"""`weftmesh controls` on a real node: the evidence follows what is really so."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from tests.integration.command_line import Result, done, weftmesh

from weftmesh.cli.dev_mesh import DevMesh, dev_mesh, free_ports
from weftmesh.cli.dev_node import DevNode
from weftmesh.runtime.config import load_config
from weftmesh.runtime.identity.founding import found_cluster

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(240)]


@pytest_asyncio.fixture
async def mesh(tmp_path: Path) -> AsyncIterator[DevMesh]:
    async with dev_mesh(tmp_path / "mesh", 1, routers=True) as running:
        yield running


async def looked_at(mesh: DevMesh) -> tuple[Result, dict[str, dict[str, Any]]]:
    result = await weftmesh(mesh.first, "--config", str(mesh.first.config_path), "--json", "controls")
    return result, {one["control"]: one for one in json.loads(result.out)["controls"]}


def written(audit: Path) -> Path:
    """The newest file of an audit log, whose records wait for the disk for a moment."""
    deadline_s = time.monotonic() + 60
    while not (found := list(audit.glob("*.audit"))):
        assert time.monotonic() < deadline_s, "nothing was written"
        time.sleep(0.05)
    return max(found)


async def test_evidence_follows_what_is_so(mesh: DevMesh) -> None:
    result, found = await looked_at(mesh)

    for control in ("mutual-tls", "tls13-only", "certificate-age", "socket-permissions", "equal-voters"):
        assert found[control]["state"] == "holds", found[control]
    for control in ("limits", "router-limits"):
        assert found[control]["state"] == "holds", found[control]
    assert "TLSv1.3" in found["mutual-tls"]["value"]
    for control in ("roles", "egress-ledger", "revocation", "backups"):
        assert found[control]["state"] == "not_in_use", found[control]
    assert found["least-privilege"]["state"] == "does_not_hold", "a node of `dev` has no sandbox"
    assert result.code == 11
    assert all(one["source"] for one in found.values())

    await done(mesh.first, "access", "grant", "user:root", "admin", "mesh")
    mesh.first.socket.chmod(0o666)
    audit = await asyncio.to_thread(written, mesh.first.directory / "data" / "audit")
    with audit.open("r+b") as stream:
        stream.seek(60)
        byte = stream.read(1)
        stream.seek(60)
        stream.write(bytes([byte[0] ^ 1]))
        os.fsync(stream.fileno())

    _, found = await looked_at(mesh)
    assert found["roles"]["state"] == "holds"
    assert "user:root" in found["roles"]["value"]
    assert found["socket-permissions"]["state"] == "does_not_hold"
    assert found["audit-chain"]["state"] == "does_not_hold"


async def test_the_own_port_is_looked_at_where_the_name_for_others_is_not_known(tmp_path: Path) -> None:
    listen, enroll = (f"127.0.0.1:{port}" for port in free_ports(2))
    node = DevNode("node1", tmp_path / "node1", listen, enroll)
    node.write_config(fsync=True)
    found_cluster(load_config(node.config_path, environment={}), "lab", "node1", "node1.invalid:7450")
    node.start()
    try:
        await node.ready()
        result = await weftmesh(node, "--config", str(node.config_path), "--json", "controls")
    finally:
        await node.stop()
    found = {one["control"]: one for one in json.loads(result.out)["controls"]}
    for control in ("mutual-tls", "tls13-only"):
        assert found[control]["state"] == "holds", found[control]
        assert listen in found[control]["command"]
