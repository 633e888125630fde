"""A watcher sees every change once and in order, or is told that it did not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

import pytest
from tests.fakes.raft_engine import InMemoryEngine
from tests.unit.core.board.writer import ulid

from weftmesh.agent.board import watching
from weftmesh.agent.board.homes import MESH, Home
from weftmesh.agent.board.machines import LogMachines
from weftmesh.agent.board.watching import Watching, WatchPlan
from weftmesh.board.v1 import board_pb2
from weftmesh.core.board.commands import Command, CreateProject, CreateTask, DeleteProject, Header, UpdateTask
from weftmesh.core.board.model import Limits
from weftmesh.core.clock import HybridClock
from weftmesh.mesh.v1 import raft_pb2
from weftmesh.runtime.rpc import MESSAGE_BYTES_MAX
from weftmesh.runtime.wire.commands import encode_command

PATIENCE_S = 30.0
SELDOM_S = 60.0
"""A progress interval that no test waits for."""


class Bench:
    """A home, and writes to it in few words. PROJ is there from the start, at revision 1."""

    def __init__(self) -> None:
        machine = LogMachines(MESH, HybridClock())
        self.home = Home(MESH, machine, InMemoryEngine(machine), pending_writes_max=1_000)
        self._made = 0
        self._stamp = 0
        self._index = 0
        self.project("PROJ")

    def write(self, *commands: Command) -> int:
        """Apply all in one log entry; the revision after it."""
        items = [raft_pb2.MachineCommand(board=encode_command(command)) for command in commands]
        self._index += 1
        outcomes = self.home.machine.apply(
            self._index, raft_pb2.MachineCommands(commands=items).SerializeToString(), 1_700_000_000_000_000
        )
        assert all(outcome.ok for outcome in outcomes)
        return self.home.board.revision

    def header(self) -> Header:
        self._stamp += 1
        return Header("ann@n1", self._stamp, self._stamp.to_bytes(16, "big"))

    def project(self, project_id: str) -> int:
        return self.write(CreateProject(self.header(), project_id, project_id))

    def tasks(self, count: int, project_id: str = "PROJ", description: str = "") -> int:
        commands = []
        for _ in range(count):
            self._made += 1
            fields = {"title": f"task {self._made}", "description": description}
            commands.append(CreateTask(self.header(), project_id, ulid(self._made), fields))
        return self.write(*commands)

    def retitle(self, number: int, title: str) -> int:
        return self.write(UpdateTask(self.header(), ulid(number), {"title": title}))

    def watch(
        self,
        project_id: str | None = "PROJ",
        resume: int = 0,
        *,
        listing: bool = False,
        progress_s: float = SELDOM_S,
    ) -> AsyncIterator[board_pb2.WatchResponse]:
        plan = WatchPlan(project_id, resume, listing, progress_s)
        return Watching(self.home, plan, lambda: board_pb2.Freshness(revision=self.home.board.revision)).messages()

    def restore_from(self, other: Bench) -> None:
        self.home.machine.prepare_restore(other.home.machine.snapshot()())()


Done = Callable[[list[board_pb2.WatchEvent]], bool]


async def collect(messages: AsyncIterator[board_pb2.WatchResponse], done: Done) -> list[board_pb2.WatchEvent]:
    """Events up to where `done` says so."""
    events: list[board_pb2.WatchEvent] = []
    async with asyncio.timeout(PATIENCE_S):
        async for message in messages:
            events.extend(message.events)
            if done(events):
                break
    return events


def count(wanted: int) -> Done:
    return lambda events: len(events) >= wanted


def reached(revision: int) -> Done:
    return lambda events: bool(events) and events[-1].revision >= revision


def ends_with(kind: str) -> Done:
    return lambda events: events[-1].WhichOneof("event") == kind


def kinds(events: list[board_pb2.WatchEvent]) -> list[str]:
    """Keys of tasks; for everything else what it is."""
    return [event.task.task.key if event.HasField("task") else str(event.WhichOneof("event")) for event in events]


async def test_changes_come_in_order_with_who_and_what() -> None:
    bench = Bench()
    messages = bench.watch(resume=1)
    bench.tasks(1)
    bench.retitle(1, "other words")
    bench.write(DeleteProject(bench.header(), "PROJ"))

    created, updated, deleted = await collect(messages, count(3))

    assert [event.revision for event in (created, updated, deleted)] == [2, 3, 4]
    assert created.task.kind == board_pb2.EVENT_KIND_CREATED
    assert (updated.task.kind, list(updated.task.changed_paths)) == (board_pb2.EVENT_KIND_UPDATED, ["title"])
    assert (updated.task.actor, updated.task.task.title) == ("ann@n1", "other words")
    assert created.task.task.title == "task 1"
    assert deleted.project.kind == board_pb2.EVENT_KIND_DELETED
    assert updated.commit_time.ToMilliseconds() == 1_700_000_000_000


async def test_nothing_is_missed_or_repeated_while_many_write() -> None:
    bench = Bench()
    seen = asyncio.ensure_future(collect(bench.watch(resume=1), reached(601)))

    async def write_some() -> None:
        for number in range(50):
            bench.tasks(1 + number % 3)
            await asyncio.sleep(0)

    await asyncio.gather(*(write_some() for _ in range(6)))
    bench.tasks(max(0, 601 - bench.home.board.revision))
    revisions = [event.revision for event in await seen]
    assert revisions == list(range(2, revisions[-1] + 1))


async def test_without_a_resume_revision_a_watch_begins_now() -> None:
    bench = Bench()
    bench.tasks(5)
    messages = bench.watch()
    bench.tasks(1)

    assert kinds(await collect(messages, count(1))) == ["PROJ-6"]


async def test_a_watcher_of_one_project_hears_of_no_other() -> None:
    bench = Bench()
    bench.project("OTHER")
    one, every = bench.watch("PROJ", 2), bench.watch(None, 2)
    for project_id in ("OTHER", "PROJ", "OTHER", "PROJ"):
        bench.tasks(1, project_id)

    assert kinds(await collect(one, count(2))) == ["PROJ-1", "PROJ-2"]
    assert kinds(await collect(every, count(4))) == ["OTHER-1", "PROJ-1", "OTHER-2", "PROJ-2"]


async def test_a_quiet_board_is_reported_at_each_interval() -> None:
    bench = Bench()
    events = await collect(bench.watch(progress_s=0.05), count(3))

    assert kinds(events) == ["progress"] * 3
    assert {event.progress.freshness.revision for event in events} == {1}


async def test_a_quiet_project_of_a_busy_board_is_reported_at_each_interval() -> None:
    bench = Bench()
    bench.project("BUSY")
    seen = asyncio.ensure_future(collect(bench.watch("PROJ", progress_s=0.1), count(2)))
    while not seen.done() and bench.home.board.revision < 2_000:
        bench.tasks(1, "BUSY")
        await asyncio.sleep(0.01)

    events = await seen
    assert kinds(events) == ["progress"] * 2
    assert bench.home.board.revision < 2_000, "told only after the board had gone quiet"
    assert 2 < events[0].revision < events[1].revision


async def test_a_listing_is_closed_by_a_progress_and_followed_by_changes() -> None:
    bench = Bench()
    bench.project("OTHER")
    bench.tasks(1, "OTHER")
    last = bench.tasks(3)
    messages = bench.watch(listing=True)

    listed = await collect(messages, ends_with("progress"))

    assert kinds(listed) == ["project", "PROJ-1", "PROJ-2", "PROJ-3", "progress"]
    assert all(event.task.kind == board_pb2.EVENT_KIND_INITIAL for event in listed[1:-1])
    assert listed[-1].revision == last


async def test_what_is_written_during_a_listing_comes_once_and_after_it() -> None:
    bench = Bench()
    bench.tasks(watching.BATCH_EVENTS_MAX * 2)
    listed: list[board_pb2.WatchEvent] = []
    async with asyncio.timeout(PATIENCE_S):
        async for message in bench.watch(listing=True):
            if not listed:
                bench.retitle(watching.BATCH_EVENTS_MAX * 2, "written meanwhile")
                bench.tasks(1)
            listed.extend(message.events)
            if kinds(listed)[-1] == f"PROJ-{watching.BATCH_EVENTS_MAX * 2 + 1}":
                break

    closed = kinds(listed).index("progress")
    assert closed == watching.BATCH_EVENTS_MAX * 2 + 1
    assert "written meanwhile" not in [event.task.task.title for event in listed[:closed]]
    after = [event.task.task.title for event in listed[closed + 1 :]]
    assert after == ["written meanwhile", f"task {watching.BATCH_EVENTS_MAX * 2 + 1}"]


async def test_a_resume_from_forgotten_history_lists_again_in_the_same_stream() -> None:
    bench = Bench()
    for _ in range(Limits.WATCH_EVENTS // 2_048 + 1):
        bench.tasks(2_048)
    floor = bench.home.board.watch_floor
    assert floor > 1

    events = await collect(bench.watch(resume=1), ends_with("progress"))

    assert events[0].resync.compacted_revision == floor
    assert kinds(events)[1] == "project"
    assert len(events) == 1 + 1 + bench.home.board.task_count + 1
    assert events[-1].revision == bench.home.board.revision


async def test_a_slow_watcher_gets_the_newest_state_of_each_task_marked_as_such() -> None:
    bench = Bench()
    bench.tasks(2)
    writes = watching.BACKLOG_EVENTS_MAX * 3
    for number in range(writes):
        bench.retitle(number % 2 + 1, f"title {number}")
    last = bench.home.board.revision

    events = await collect(bench.watch(resume=3), reached(last))

    assert len(events) < writes / 2
    folded = [event for event in events if event.task.gap]
    assert folded
    assert folded[0].revision > 4
    revisions = [event.revision for event in events]
    assert revisions == sorted(set(revisions))
    newest = {event.task.task.key: event.task.task.title for event in events}
    assert newest == {"PROJ-1": f"title {writes - 2}", "PROJ-2": f"title {writes - 1}"}
    assert not events[-1].task.gap


async def test_messages_are_bounded_in_events_and_in_bytes() -> None:
    bench = Bench()
    bench.tasks(150, description="x" * (Limits.DESCRIPTION_BYTES - 1))
    bench.tasks(600)
    last = bench.home.board.revision
    for listing in (False, True):
        sizes: list[tuple[int, int]] = []
        async with asyncio.timeout(PATIENCE_S), aclosing(bench.watch(resume=1, listing=listing)) as messages:  # type: ignore[type-var]
            async for message in messages:
                sizes.append((len(message.events), message.ByteSize()))
                if message.events[-1].revision == last:
                    break
        assert max(events for events, _ in sizes) <= watching.BATCH_EVENTS_MAX
        assert max(size_bytes for _, size_bytes in sizes) < MESSAGE_BYTES_MAX / 2


async def test_a_watch_goes_on_across_a_restored_snapshot() -> None:
    ahead, behind = Bench(), Bench()
    ahead.tasks(3)
    behind.tasks(3)
    seen = asyncio.ensure_future(collect(behind.watch(resume=1), count(13)))
    await asyncio.sleep(0.01)
    ahead.tasks(10)

    behind.restore_from(ahead)

    assert kinds(await seen) == [f"PROJ-{number}" for number in range(1, 14)]


async def test_a_watch_lists_again_when_a_restored_snapshot_has_forgotten_its_place() -> None:
    ahead, behind = Bench(), Bench()
    seen = asyncio.ensure_future(collect(behind.watch(resume=1), ends_with("progress")))
    await asyncio.sleep(0.01)
    for _ in range(Limits.WATCH_EVENTS // 2_048 + 1):
        ahead.tasks(2_048)

    behind.restore_from(ahead)

    events = await seen
    assert kinds(events)[0] == "resync"
    assert len(events) == ahead.home.board.task_count + 3


async def test_a_watcher_from_a_node_further_ahead_waits_for_this_one_to_catch_up() -> None:
    bench = Bench()
    messages = bench.watch(resume=4)
    seen = asyncio.ensure_future(collect(messages, count(1)))
    for _ in range(4):
        bench.tasks(1)
        await asyncio.sleep(0.01)

    assert kinds(await seen) == ["PROJ-4"]


@pytest.mark.parametrize("listing", [False, True])
async def test_a_watcher_that_leaves_leaves_nothing_behind(listing: bool) -> None:
    bench = Bench()
    bench.tasks(1)
    async with aclosing(bench.watch(resume=1, listing=listing)) as messages:  # type: ignore[type-var]
        await anext(messages)
    other = bench.watch(resume=2)
    bench.tasks(1)
    assert kinds(await collect(other, count(1))) == ["PROJ-2"]


async def test_watchers_at_one_place_are_told_the_same_and_others_what_is_theirs() -> None:
    bench = Bench()
    bench.project("ELSE")
    last = bench.tasks(2) + 3
    watchers = [
        asyncio.ensure_future(collect(bench.watch(project_id, resume), reached(last)))
        for project_id, resume in (("PROJ", 2), ("PROJ", 2), ("PROJ", 3), (None, 2))
    ]
    await asyncio.sleep(0)
    bench.tasks(1, "ELSE")
    await asyncio.sleep(0)
    bench.tasks(1)
    bench.retitle(1, "written last")

    one, same, later, everywhere = await asyncio.gather(*watchers)

    assert kinds(one) == kinds(same) == ["PROJ-1", "PROJ-2", "PROJ-3", "PROJ-1"]
    assert kinds(later) == ["PROJ-2", "PROJ-3", "PROJ-1"]
    assert kinds(everywhere) == ["PROJ-1", "PROJ-2", "ELSE-1", "PROJ-3", "PROJ-1"]
    assert [watcher[-1].task.task.title for watcher in (one, same, later, everywhere)] == ["written last"] * 4
