"""When snapshots are taken, what stays in the log behind them, and what a stop does about it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from tests.fakes.raft_engines import Engines, Host, Register, with_settings
from tests.fakes.storage import FakeSnapshotStorage

from weftmesh.agent.raft.ports import SnapshotInfo
from weftmesh.agent.raft.snapshots.writer import SnapshotWriter
from weftmesh.mesh.v1 import raft_pb2

COMMAND = b"x" * 1000


@pytest.fixture
async def mesh() -> AsyncIterator[Engines]:
    mesh = Engines()
    yield mesh
    await mesh.stop()


async def propose(host: Host, count: int, command: bytes = COMMAND) -> None:
    for _ in range(count):
        await host.up.propose(command, 2)


async def stop(host: Host) -> None:
    """In order, as a signal does; `start` continues from what is on disk."""
    await host.up.stop()
    host.engine = None
    host.log, host.snapshots = host.log.crash(), host.snapshots.crash()


async def test_a_snapshot_is_taken_for_bytes(mesh: Engines) -> None:
    mesh.settings = with_settings(snapshot_every_bytes=10_000)
    (host,) = await mesh.found("a")
    await propose(host, 8)
    await asyncio.sleep(0.05)
    assert host.snapshots.latest() is None
    await propose(host, 4)
    await mesh.until(lambda: host.up.status().snapshot_index > 1)


async def test_a_large_snapshot_waits_for_a_part_of_its_size(mesh: Engines) -> None:
    mesh.settings = with_settings(snapshot_every_bytes=10_000, snapshot_growth=2)
    (host,) = await mesh.found("a")
    await propose(host, 1, COMMAND * 44)  # one entry, so that one snapshot holds all of it and the count begins anew
    await mesh.until(lambda: host.up.status().snapshot_index > 1)
    await asyncio.sleep(0.05)
    before = host.snapshots.latest()
    assert before is not None
    await propose(host, before.size_bytes // 2 // len(COMMAND) - 3)
    await asyncio.sleep(0.05)
    assert host.snapshots.latest() == before
    await propose(host, 6)
    await mesh.until(lambda: host.snapshots.latest() != before)


@pytest.mark.parametrize(("entries", "size_bytes", "kept"), [(5, 1 << 20, 5), (100, 3_500, 3), (100, 0, 0)])
async def test_what_stays_behind_a_snapshot_is_limited(mesh: Engines, entries: int, size_bytes: int, kept: int) -> None:
    mesh.settings = with_settings(snapshot_every_entries=30, trailing_entries=entries, trailing_bytes=size_bytes)
    (host,) = await mesh.found("a")
    await propose(host, 40)
    await mesh.until(lambda: host.up.status().snapshot_index > 1)
    status = host.up.status()
    assert status.snapshot_index - (status.first_index - 1) == kept


async def test_a_stop_spares_the_next_start_what_was_applied(mesh: Engines) -> None:
    mesh.settings = with_settings(last_snapshot_entries=10)
    (host,) = await mesh.found("a")
    await propose(host, 20)
    last_index = host.up.status().applied_index
    await stop(host)
    host = await mesh.start("a")
    assert host.up.status().snapshot_index == last_index
    assert (host.machine.restored, len(host.machine.commands)) == (1, 20)
    assert host.failures == []


async def test_a_stop_takes_none_for_a_little(mesh: Engines) -> None:
    mesh.settings = with_settings(last_snapshot_entries=50, last_snapshot_bytes=30_000)
    (host,) = await mesh.found("a")
    await propose(host, 20)
    await stop(host)
    assert host.snapshots.latest() is None
    host = await mesh.start("a")
    assert len(host.machine.commands) == 20


class SlowRegister(Register):
    """Takes seconds to write down."""

    def snapshot(self) -> Callable[[], Iterator[bytes]]:
        """A row at a time."""

        def rows() -> Iterator[bytes]:
            for _ in range(1000):
                time.sleep(0.005)
                yield b"row"

        return rows


async def test_a_stop_abandons_a_snapshot_that_takes_too_long(mesh: Engines) -> None:
    mesh.settings = with_settings(last_snapshot_entries=10, last_snapshot_s=0.1)
    mesh.machine = SlowRegister
    (host,) = await mesh.found("a")
    await propose(host, 20)
    begun_s = time.monotonic()
    await stop(host)
    assert time.monotonic() - begun_s < 3
    assert host.snapshots.latest() is None
    assert host.failures == []
    mesh.machine = Register
    host = await mesh.start("a")
    assert len(host.machine.commands) == 20


async def test_the_writer_hands_on_what_failed() -> None:
    outcomes: list[asyncio.Future[SnapshotInfo]] = []
    writer = SnapshotWriter(FakeSnapshotStorage(), outcomes.append)
    assert await writer.finish(1) is None

    def failing() -> Iterator[bytes]:
        raise OSError("no space left")
        yield b""

    writer.begin(raft_pb2.SnapshotHeader(last_index=5), failing)
    assert await writer.finish(1) is None
    (outcome,) = outcomes
    assert isinstance(outcome.exception(), OSError)
