"""The audit of a real mesh: passed while all is well, and telling which voter lacks what when it is not."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from tests.integration.command_line import done, weftmesh

from weftmesh.board.v1 import board_pb2
from weftmesh.cli.dev_mesh import DevMesh, dev_mesh
from weftmesh.cli.dev_node import DevNode
from weftmesh.cli.exit_codes import ExitCode
from weftmesh.runtime.wire.machine_rows import BOARD, FEATURES, RowSorter, wrapped
from weftmesh.runtime.wire.snapshot_file import SnapshotReader, encode
from weftmesh.runtime.wire.snapshot_rows import rows_of, state_from_rows

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

SETTLE_S = 60.0
WRITES = 120
SNAPSHOT_EVERY = 100


async def write(node: DevNode, count: int) -> None:
    """So many writes, one log entry each."""
    async with node.client() as client:
        for number in range(count):
            task = board_pb2.Task(title=f"{node.name} {number}")
            await client.board.create_task(board_pb2.CreateTaskRequest(parent="projects/AUDIT", task=task))


async def until_snapshot(node: DevNode) -> None:
    async with asyncio.timeout(SETTLE_S), node.client() as client:
        while (await client.mesh.get_status()).snapshot_index < SNAPSHOT_EVERY:  # noqa: ASYNC110, told by polling only
            await asyncio.sleep(0.1)


def lose_last_task(node: DevNode) -> int:
    """Take the last task out of the node's newest snapshot, as no disk fault could: its checksums fit."""
    path = max((node.directory / "data" / "mesh" / "snapshots").glob("*.snapshot"))
    with path.open("rb") as stream:
        reader = SnapshotReader(stream, path)
        header = reader.header()
        sorter = RowSorter(reader.rows())
        state = state_from_rows(sorter.rows_of(BOARD))
    lost = state.tasks[-1]
    damaged = replace(state, tasks=state.tasks[:-1], requests=())
    rows = [*wrapped(FEATURES, sorter.rows_of(FEATURES)), *rows_of(damaged)]
    path.write_bytes(b"".join(encode(header, rows)))
    return lost.created_revision


async def start_with_snapshots(mesh: DevMesh, node: DevNode) -> None:
    text = node.config_path.read_text()
    assert "[raft]\n" in text
    node.config_path.write_text(text.replace("[raft]\n", f"[raft]\nsnapshot_every_entries = {SNAPSHOT_EVERY}\n"))
    await mesh.restart(node.name)
    await mesh.settled()


async def test_a_follower_that_lost_an_acknowledged_write_is_found(tmp_path: Path) -> None:
    async with dev_mesh(tmp_path / "mesh", 3) as mesh:
        third = mesh.node("node3")
        await start_with_snapshots(mesh, third)
        await done(mesh.first, "project", "add", "AUDIT")
        await asyncio.gather(*(write(node, WRITES // 3) for node in mesh.nodes.values()))
        await until_snapshot(third)
        passed = (await weftmesh(mesh.first, "--json", "verify")).json()
        assert passed["passed"] is True
        assert passed["writes"] == WRITES + 1
        assert {voter["state_hash"] for voter in passed["voters"]} == {passed["voters"][0]["state_hash"]} != {""}

        await third.stop()
        one_down = await weftmesh(mesh.first, "verify")
        assert (one_down.code, "node3" in one_down.err) == (ExitCode.ERROR, True)
        revision = lose_last_task(third)
        await mesh.restart("node3")
        await mesh.settled()
        failed = await weftmesh(mesh.first, "verify")
        assert failed.code == ExitCode.ERROR
        assert f"at {revision}" in failed.err
        assert "weftmesh members rm node3" in failed.err
        assert "members rm node1" not in failed.err
        assert "FAILED" in await done(mesh.first, "status")
