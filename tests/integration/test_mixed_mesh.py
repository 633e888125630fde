"""A mesh of an earlier build is upgraded in place, one node at a time, while people write; there is no way back.

The earlier build comes out of the repository's history; without it these tests are skipped.
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from examples.demo import Record, agreed_states, missing_on, write
from tests.fakes.feature_levels import raise_entry
from tests.integration.previous_build import BEFORE_LEVELS, environment_of

from weftmesh.agent.daemon import EXIT_CONFIG
from weftmesh.agent.raft.core.fencing import payload_of
from weftmesh.agent.raft.log.wal import WriteAheadLog
from weftmesh.agent.raft.ports import Entry
from weftmesh.agent.raft.settings import RaftSettings
from weftmesh.board.v1 import board_pb2
from weftmesh.cli.dev_mesh import DevMesh, free_ports
from weftmesh.cli.dev_node import DevNode
from weftmesh.core.board.model import Limits
from weftmesh.core.errors import WeftmeshError
from weftmesh.core.features.levels import SUPPORTED_LEVEL
from weftmesh.mesh.v1 import mesh_pb2

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(600)]

PROJECT = "projects/DEMO"
WRITERS = 4
PATIENCE_S = 90.0


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return environment_of(BEFORE_LEVELS, tmp_path_factory.mktemp("earlier"))


@pytest.fixture
async def mesh(tmp_path: Path, earlier: dict[str, str]) -> AsyncIterator[DevMesh]:
    """Three nodes that the earlier build made, and that it runs."""
    command = [sys.executable, "-m", "weftmesh.cli", "dev", "up", "--dir", str(tmp_path), "--detach", "--no-learning"]
    made = await asyncio.to_thread(
        subprocess.run, command, env=os.environ | earlier, capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stdout + made.stderr
    running = DevMesh.load(tmp_path)
    yield running
    await running.down()


async def status_of(node: DevNode) -> mesh_pb2.NodeStatus:
    async with node.client() as client:
        return await client.mesh.get_status(timeout_s=10)


async def write_for_ever(mesh: DevMesh, record: Record, number: int) -> None:
    """Make tasks, each on the next node that answers, under an id of its own: an attempt that failed is not counted."""
    names = list(mesh.nodes)
    at = number
    while True:
        at += 1
        node = mesh.nodes[names[at % len(names)]]
        request = board_pb2.CreateTaskRequest(parent=PROJECT, task=board_pb2.Task(title=f"task {at}", estimate=1))
        try:
            async with node.client() as client:
                for _ in range(5):
                    if task := await write(node.name, client, record, request):
                        record.acknowledged[task] = 1
        except WeftmeshError:
            await asyncio.sleep(0.05)


@asynccontextmanager
async def writers(mesh: DevMesh, record: Record) -> AsyncIterator[None]:
    async with mesh.first.client() as client:
        await client.board.create_project(
            board_pb2.CreateProjectRequest(project_id="DEMO", project=board_pb2.Project(title="load"))
        )
    tasks = [asyncio.create_task(write_for_ever(mesh, record, number)) for number in range(WRITERS)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def upgrade(mesh: DevMesh, node: DevNode, record: Record) -> None:
    """Stop one node, start the present build on its directory, and wait until it has caught up and people write."""
    await node.stop()
    node.start()
    mesh.save()
    await node.ready()
    await mesh.settled()
    before = len(record.acknowledged)
    deadline = time.monotonic() + PATIENCE_S
    while len(record.acknowledged) < before + 10:
        assert time.monotonic() < deadline, f"no write was acknowledged after {node.name} was upgraded"
        await asyncio.sleep(0.05)


def revoke_serial(node: DevNode) -> tuple[int, dict[str, object]]:
    """A command of level 2: revoke a certificate that nobody has."""
    command = [sys.executable, "-m", "weftmesh.cli", "cert", "revoke", "--serial", "0badc0de", "--json"]
    environment = os.environ | {"WEFTMESH_SOCKET": str(node.socket)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, json.loads(done.stdout or done.stderr)


async def level_reached(mesh: DevMesh, level: int) -> float:
    """Seconds until every node has the level."""
    begun = time.monotonic()
    while any([(await status_of(node)).feature_level != level for node in mesh.nodes.values()]):
        assert time.monotonic() - begun < PATIENCE_S, "the level did not rise"
        await asyncio.sleep(0.1)
    return time.monotonic() - begun


async def test_a_mesh_is_upgraded_node_by_node_under_writes_and_then_its_level_rises(
    mesh: DevMesh, earlier: dict[str, str]
) -> None:
    record = Record()
    async with writers(mesh, record):
        for number, node in enumerate(mesh.nodes.values(), start=1):
            await upgrade(mesh, node, record)
            if number < len(mesh.nodes):
                assert (await status_of(node)).feature_level == 1
                code, said = await asyncio.to_thread(revoke_serial, node)
                assert code != 0
                assert "FEATURE_NOT_READY" in str(said)
                assert all(name in str(said) for name in list(mesh.nodes)[number:]), "those that lag are named"
        rose_s = await level_reached(mesh, SUPPORTED_LEVEL)
        written = len(record.acknowledged)
    print(f"\nlevel {SUPPORTED_LEVEL} on every node {rose_s:.1f} s after the last upgrade; {written} writes meanwhile")
    for node in mesh.nodes.values():
        async with node.client() as client:
            assert not await missing_on(client, record), f"acknowledged writes are missing on {node.name}"
    assert (await asyncio.to_thread(revoke_serial, mesh.first))[0] == 0
    await the_earlier_build_is_refused(mesh, earlier)
    await the_earlier_build_does_not_join(mesh, earlier)


async def the_earlier_build_is_refused(mesh: DevMesh, earlier: dict[str, str]) -> None:
    """It knows no levels: the fence in the log is malformed to it, and the level in a snapshot is a machine's that it
    does not know. The data stays good for the present build."""
    node = list(mesh.nodes.values())[-1]
    for ending, words in (
        (signal.SIGKILL, "of the log does not parse"),
        (signal.SIGTERM, "of the snapshot is of a ma"),
    ):
        if ending == signal.SIGTERM:
            await write_enough_for_a_snapshot(mesh, node)
        await mesh.kill(node.name, ending)  # after SIGKILL there is only the log, after SIGTERM a snapshot as well
        node.environment = earlier
        node.start()
        assert await node.ended(PATIENCE_S), "the earlier build runs on a log that it cannot apply"
        assert words in node.last_words()
        node.environment = {}
        node.start()
        await node.ready()
        await mesh.settled()
    async with node.client() as one, mesh.first.client() as other:
        await agreed_states([one, other])


async def write_enough_for_a_snapshot(mesh: DevMesh, node: DevNode) -> None:
    """A graceful stop takes one only where the next start would have much to apply again."""
    count = 1 + RaftSettings().last_snapshot_bytes // Limits.DESCRIPTION_BYTES
    task = board_pb2.Task(title="a long one", description="x" * Limits.DESCRIPTION_BYTES)
    async with node.client() as one, mesh.first.client() as other:
        for _ in range(count):
            await other.write(board_pb2.CreateTaskRequest(parent=PROJECT, task=task), timeout_s=PATIENCE_S)
        await agreed_states([one, other])


async def the_earlier_build_does_not_join(mesh: DevMesh, earlier: dict[str, str]) -> None:
    """It is told why, again and again, and joins when the present build is started on what it has."""
    listen, enroll = (f"127.0.0.1:{port}" for port in free_ports(2))
    mesh.nodes["node4"] = node = DevNode("node4", mesh.directory / "node4", listen, enroll, environment=earlier)
    node.write_config(fsync=True)
    async with mesh.first.client() as client:
        token = await client.mesh.create_join_token(mesh_pb2.CreateJoinTokenRequest(node_name="node4"), timeout_s=60)
    line = shlex.split(token.join_command)[2:]
    where = ["--name", "node4", "--listen", listen, "--advertise", listen, "--enroll", enroll]
    command = [sys.executable, "-m", "weftmesh.cli", "--config", str(node.config_path), "join", *where, *line]
    joined = await asyncio.to_thread(
        subprocess.run, command, env=os.environ | earlier, capture_output=True, text=True, check=False
    )
    assert joined.returncode == 0, joined.stderr
    node.start()
    deadline = time.monotonic() + PATIENCE_S
    while "install the version on node4 that the members run" not in node.last_words(100_000):
        assert time.monotonic() < deadline, node.last_words()
        await asyncio.sleep(0.1)
    await node.stop()
    node.environment = {}
    node.start()
    await mesh.settled()


def test_the_earlier_build_takes_nothing_from_a_leader_that_has_a_fence_in_it(earlier: dict[str, str]) -> None:
    """As when a member was set back after it said what it supports, and before the level was raised."""
    payload = payload_of(raise_entry(SUPPORTED_LEVEL), SUPPORTED_LEVEL).SerializeToString()
    program = (
        "import sys; from weftmesh.agent.raft.core.codec import parse_payload; parse_payload(sys.stdin.buffer.read())"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], input=payload, env=os.environ | earlier, capture_output=True, check=False
    )

    assert b"ProtocolError: malformed message from a peer: number of voters" in done.stderr


@pytest.fixture
def one_node(tmp_path: Path) -> Iterator[DevMesh]:
    mesh = DevMesh(tmp_path)
    asyncio.run(mesh.up(1))
    yield mesh
    asyncio.run(mesh.down())


def test_this_build_refuses_a_log_of_a_later_level(one_node: DevMesh) -> None:
    node = one_node.first
    asyncio.run(node.stop())
    append_fence(node.directory / "data" / "mesh" / "wal", SUPPORTED_LEVEL + 1)

    command = [sys.executable, "-m", "weftmesh.agent", "--config", str(node.config_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)

    assert done.returncode == EXIT_CONFIG, "restarting would not help, and systemd must not try"
    assert f"needs feature level {SUPPORTED_LEVEL + 1}" in done.stdout + done.stderr
    assert "install the version of weftmesh that the other nodes run" in done.stdout + done.stderr


def append_fence(directory: Path, level: int) -> None:
    """What a later build writes when it raises the level."""

    def failed(error: OSError) -> None:
        raise error

    log = WriteAheadLog.open(directory, on_failure=failed)
    payload = payload_of(raise_entry(level), level).SerializeToString()
    log.append([Entry(log.last_index + 1, log.term, payload)])
    log.close()
