"""Waiting for a board to move on."""

from __future__ import annotations

import asyncio

from tests.unit.core.board.writer import ulid

from weftmesh.agent.board.event_feed import EventFeed
from weftmesh.agent.board.machines import LogMachines
from weftmesh.core.board.commands import Command, CreateProject, CreateTask, Header
from weftmesh.core.clock import HybridClock
from weftmesh.mesh.v1 import raft_pb2
from weftmesh.runtime.wire.commands import encode_command

PATIENCE_S = 20.0
COMMIT_US = 1_700_000_000_000_000


class Fed:
    """A board machine with a feed."""

    def __init__(self) -> None:
        self.machine = LogMachines("mesh", HybridClock())
        self.feed = EventFeed(self.machine)
        self._written = 0

    def write(self, commit_time_us: int = COMMIT_US) -> int:
        """Apply one more command; the board's revision after it."""
        self._written += 1
        header = Header("ann@n1", self._written, self._written.to_bytes(16, "big"))
        command: Command = CreateTask(header, "PROJ", ulid(self._written), {"title": "a task"})
        if self._written == 1:
            command = CreateProject(header, "PROJ", "Project")
        item = raft_pb2.MachineCommand(board=encode_command(command))
        self.machine.apply(self._written, raft_pb2.MachineCommands(commands=[item]).SerializeToString(), commit_time_us)
        return self.machine.board.revision


async def test_everybody_who_waits_is_woken_by_the_next_change() -> None:
    fed = Fed()
    waiting = [asyncio.ensure_future(fed.feed.moved()) for _ in range(5)]
    await asyncio.sleep(0)
    waiting[0].cancel()

    fed.write()

    await asyncio.wait_for(asyncio.gather(*waiting[1:]), PATIENCE_S)
    assert waiting[0].cancelled()
    later = asyncio.ensure_future(fed.feed.moved())
    await asyncio.sleep(0)
    assert not later.done()
    fed.write()
    await asyncio.wait_for(later, PATIENCE_S)


async def test_one_may_wait_for_a_revision() -> None:
    fed = Fed()
    fed.write()
    await asyncio.wait_for(fed.feed.wait_for(1), PATIENCE_S)
    third = asyncio.ensure_future(fed.feed.wait_for(3))

    fed.write()
    await asyncio.sleep(0.01)
    assert not third.done()

    fed.write()
    await asyncio.wait_for(third, PATIENCE_S)


async def test_a_restored_snapshot_wakes_as_a_change_does() -> None:
    ahead, fed = Fed(), Fed()
    for _ in range(3):
        ahead.write()
    waiting = asyncio.ensure_future(fed.feed.wait_for(3))
    await asyncio.sleep(0)

    fed.machine.prepare_restore(ahead.machine.snapshot()())()

    await asyncio.wait_for(waiting, PATIENCE_S)


async def test_commit_times_are_known_for_recent_revisions_only() -> None:
    fed = Fed()
    fed.feed = EventFeed(fed.machine, commit_times_kept=4)
    for number in range(1, 7):
        fed.write(COMMIT_US + number)
    unknown = fed.write(0)

    times = [fed.feed.commit_time_us(revision) for revision in range(1, unknown + 1)]

    assert times == [0, 0, *(COMMIT_US + number for number in range(3, 7)), 0]


async def test_watchers_come_before_those_who_measure_them() -> None:
    fed = Fed()
    order: list[str] = []
    fed.feed.on_handed_over(lambda commit_time_us: order.append(f"measured {commit_time_us}"))

    async def watch() -> None:
        await fed.feed.moved()
        order.append("watched")

    watching = asyncio.ensure_future(watch())
    await asyncio.sleep(0)
    fed.write(0)
    fed.write(COMMIT_US)
    await watching
    await asyncio.sleep(0.01)

    assert order == ["watched", f"measured {COMMIT_US}"]
