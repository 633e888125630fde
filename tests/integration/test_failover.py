"""The leader is killed under load: writes resume, and nothing that was acknowledged is missing anywhere."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, suppress

import pytest
from examples.demo import Record, agreed_states, missing_on, writers_on

from weftmesh.board.v1 import board_pb2
from weftmesh.cli.dev_mesh import DevMesh
from weftmesh.client import Client
from weftmesh.core.errors import AlreadyExistsError

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

WRITERS_PER_NODE = 22
RESUME_WITHIN_S = 3.0
PATIENCE_S = 60.0
"""For a machine that does other things besides; what a mesh promises is measured by the slow test."""


async def clients_of(mesh: DevMesh, stack: AsyncExitStack) -> dict[str, Client]:
    return {name: await stack.enter_async_context(node.client()) for name, node in mesh.nodes.items()}


async def kill_leader_and_wait(mesh: DevMesh, record: Record) -> float:
    """Seconds from the kill until a write that began after it was acknowledged."""
    leader = await mesh.settled()
    killed = time.monotonic()
    await mesh.kill(leader)
    while time.monotonic() - killed < PATIENCE_S:
        if any(begun > killed and node != leader for begun, node in record.answered_at):
            break
        await asyncio.sleep(0.01)
    resumed_s = time.monotonic() - killed
    record.answered_at.clear()
    await mesh.restart(leader)
    await mesh.settled()
    return resumed_s


async def survive_kills(mesh: DevMesh, kills: int) -> list[float]:
    record = Record()
    async with AsyncExitStack() as stack:
        clients = await clients_of(mesh, stack)
        request = board_pb2.CreateProjectRequest(project_id="DEMO", project=board_pb2.Project(title="load"))
        with suppress(AlreadyExistsError):
            await clients["node1"].board.create_project(request)
        async with writers_on(mesh, clients, record, WRITERS_PER_NODE):
            await asyncio.sleep(1)
            resumed_s = [await kill_leader_and_wait(mesh, record) for _ in range(kills)]
        assert len(record.acknowledged) > WRITERS_PER_NODE
        await agreed_states(list(clients.values()))
        for name, client in clients.items():
            assert not await missing_on(client, record), f"acknowledged writes are missing on {name}"
    return resumed_s


@pytest.mark.timeout(300)
async def test_nothing_acknowledged_is_lost_when_the_leader_is_killed(mesh: DevMesh) -> None:
    resumed_s = await survive_kills(mesh, 2)
    assert max(resumed_s) < PATIENCE_S, resumed_s


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_twenty_kills_under_sixty_four_writers(mesh: DevMesh) -> None:
    resumed_s = await survive_kills(mesh, 20)
    print("\nresumed after (s):", " ".join(f"{one:.2f}" for one in sorted(resumed_s)))
    assert max(resumed_s) < RESUME_WITHIN_S, resumed_s
