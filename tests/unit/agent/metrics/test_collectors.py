"""What collectors of a node count, where a scrape alone would not show it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.fakes.raft_engine import InMemoryEngine

from weftmesh.agent.board.machines import LogMachines
from weftmesh.agent.metrics.disk_meter import MeteredDisk, MeteredSnapshots
from weftmesh.agent.metrics.neighbours import BYTES_MAX, neighbours_pages, socket_of
from weftmesh.agent.metrics.raft_metrics import ELECTIONS, LEADER_CHANGES, PEER_BEHIND, ROLE, RaftCollector
from weftmesh.agent.raft.engine import MemberRole, Role
from weftmesh.core.clock import HybridClock
from weftmesh.mesh.v1 import raft_pb2
from weftmesh.runtime.metrics.http_server import Answer, HttpServer
from weftmesh.runtime.metrics.model import Exposition, Metric, Value


def collected(collector: RaftCollector) -> dict[Metric, Mapping[tuple[str, ...], Value]]:
    out = Exposition()
    collector(out)
    return dict(out.families())


async def test_leaders_and_elections_are_counted_once_each() -> None:
    engine = InMemoryEngine(LogMachines("mesh", HybridClock()))
    collector = RaftCollector(engine)
    seen = [
        (Role.FOLLOWER, 1, "n2"),
        (Role.FOLLOWER, 2, ""),
        (Role.CANDIDATE, 3, ""),
        (Role.LEADER, 3, "n1"),
        (Role.LEADER, 3, "n1"),
        (Role.FOLLOWER, 4, "n1"),
        (Role.CANDIDATE, 5, ""),
    ]
    for engine.role, engine.term, engine.leader in seen:
        engine.tell()
    found = collected(collector)
    assert found[LEADER_CHANGES] == {(): 2}
    assert found[ELECTIONS] == {(): 2}
    assert [role for (role,), one in found[ROLE].items() if one] == ["candidate"]


async def test_only_a_leader_says_how_far_others_are_behind() -> None:
    engine = InMemoryEngine(LogMachines("mesh", HybridClock()))
    await engine.change_member("n2", MemberRole.VOTER, "127.0.0.1:2", 1.0)
    collector = RaftCollector(engine)
    assert collected(collector)[PEER_BEHIND] == {("n2",): 0}
    engine.role = Role.FOLLOWER
    assert PEER_BEHIND not in collected(collector)


def test_a_sync_is_timed_and_one_that_fails_is_not(tmp_path: Path) -> None:
    disk = MeteredDisk()
    fd = os.open(tmp_path / "log", os.O_CREAT | os.O_RDWR)
    disk.sync_data(fd)
    os.close(fd)
    with pytest.raises(OSError, match="Bad file descriptor"):
        disk.sync_data(fd)
    assert disk.sync_times.count == 1


def test_a_snapshot_is_timed(tmp_path: Path) -> None:
    snapshots = MeteredSnapshots(tmp_path, "plant")
    assert snapshots.last_duration_s is None
    snapshots.write(raft_pb2.SnapshotHeader(cluster="plant", last_index=1, last_term=1), iter([b"row"]))
    assert snapshots.written == 1
    assert snapshots.last_duration_s is not None


async def asked(run_dir: Path) -> Answer:
    return await neighbours_pages(run_dir)["/metrics/router"]({"accept": "application/openmetrics-text"})


async def test_a_neighbours_metrics_are_handed_on_in_the_format_that_was_asked_for(tmp_path: Path) -> None:
    async def page(headers: Mapping[str, str]) -> Answer:
        return Answer(b"# EOF\n", headers["accept"])

    socket = socket_of(tmp_path / "run", "router")
    socket.parent.mkdir()
    server = HttpServer({"/metrics": page})
    await server.listen_beside(socket)
    answer = await asked(tmp_path / "run")
    assert (answer.status, answer.body, answer.content_type) == (200, b"# EOF\n", "application/openmetrics-text")
    await server.close()


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\n\r\n",
        b"HTTP/1.1 500 No\r\nContent-Type: a/b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Length: %d\r\n\r\n" % (BYTES_MAX + 1),
        b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Length: 9\r\n\r\nshort",
        b"x" * 1_000_000,
    ],
)
async def test_a_neighbour_that_talks_nonsense_is_unavailable(tmp_path: Path, said: bytes) -> None:
    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        writer.close()

    socket = socket_of(tmp_path / "run", "router")
    socket.parent.mkdir()
    server = await asyncio.start_unix_server(talk, socket)
    assert (await asked(tmp_path / "run")).status == 503
    server.close()
