"""One node with a queue, over a log that can be cut off from its majority."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tests.fakes.raft_engine import InMemoryEngine
from tests.unit.core.board.writer import ulid

from weftmesh.agent.board.homes import MESH, Home, Homes
from weftmesh.agent.board.machines import LogMachines
from weftmesh.agent.board.writes import BoardWrites
from weftmesh.agent.offline.queue import WriteQueue
from weftmesh.agent.offline.replayer import Replayer
from weftmesh.agent.offline.service import OfflineWrites
from weftmesh.agent.raft.log.disk import Disk, SystemDisk
from weftmesh.agent.serving.callers import Caller
from weftmesh.agent.serving.requests import Call
from weftmesh.board.v1 import board_pb2
from weftmesh.core.board.commands import CreateProject, CreateTask, Header, UpdateTask
from weftmesh.core.board.model import FieldValue, MergePolicy, Task
from weftmesh.core.clock import HybridClock
from weftmesh.runtime.wire.requests import parse_request_id
from weftmesh.runtime.wire.snapshot_rows import rows_of

LOCAL = "node:n1"
PATIENCE_S = 20.0
TASK = "projects/PROJ/tasks/"


class Bench:
    """Node n1. The board survives `restart`, as it does on other nodes; the queue survives on disk."""

    def __init__(self, directory: Path, policy: MergePolicy = MergePolicy.ASK) -> None:
        self.directory = directory
        self.mesh_machine, self.local_machine = LogMachines(MESH, HybridClock()), LogMachines(LOCAL, HybridClock())
        self.engine = InMemoryEngine(self.mesh_machine)
        self.clock = HybridClock()
        self._made = 100
        self._others = 0
        self._replaying: asyncio.Task[None] | None = None
        self.mesh_machine.board.apply(CreateProject(Header("eve@n2", 1), "PROJ", "Project", merge_policy=policy))
        self.mesh_machine.board.apply(CreateTask(Header("eve@n2", 2), "PROJ", ulid(1), {"title": "as made"}))
        self.local_machine.board.apply(CreateProject(Header("eve@n1", 1), "MINE", "Mine", home=LOCAL))
        self.start()

    def start(self, disk: Disk | None = None) -> None:
        """As after a start of the process: nothing but the disk is known."""
        mesh = Home(MESH, self.mesh_machine, self.engine, pending_writes_max=10_000)
        local = Home(LOCAL, self.local_machine, InMemoryEngine(self.local_machine), pending_writes_max=10_000)
        self.homes = Homes(mesh, local)
        self.queue = WriteQueue.open(self.directory, disk or SystemDisk(fsync=False))
        writes = BoardWrites(self.homes, self.clock, self.new_ulid)
        self.offline = OfflineWrites(self.homes, writes, self.queue, self.clock, self.new_ulid)

    async def restart(self) -> None:
        """Stop replaying and begin anew from the disk."""
        await self.stop()
        self.start()

    async def stop(self) -> None:
        """End the replaying, and close the file."""
        if self._replaying is not None:
            self._replaying.cancel()
            await asyncio.gather(self._replaying, return_exceptions=True)
            self._replaying = None
        await self.queue.close()

    def replay(self) -> None:
        """Replay from now on, as far as there is a quorum."""
        self._replaying = asyncio.get_running_loop().create_task(Replayer(self.homes, self.queue).run())

    async def drained(self) -> None:
        """Replay until nothing waits."""
        if self._replaying is None:
            self.replay()
        await self.until(lambda: not any(self.queue.waiting()))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition."""
        async with asyncio.timeout(PATIENCE_S):
            while not condition():  # noqa: ASYNC110 - any condition, not one event
                await asyncio.sleep(0.005)

    def new_ulid(self) -> str:
        """The next one."""
        self._made += 1
        return ulid(self._made)

    @staticmethod
    def call(actor: str = "ann@n1") -> Call:
        """A call of a local user."""
        caller = Caller(actor=actor, user=actor.partition("@")[0], node="")
        return Call(caller, asyncio.get_running_loop().time() + PATIENCE_S)

    async def put(self, write: board_pb2.WriteRequest, actor: str = "ann@n1") -> board_pb2.QueuedWrite:
        """Queue one write."""
        return await self.offline.put(write, self.call(actor))

    async def set_title(
        self, title: str, name: str = f"{TASK}{ulid(1)}", actor: str = "ann@n1"
    ) -> board_pb2.QueuedWrite:
        """Queue an edit."""
        return await self.put(title_write(title, name), actor)

    def somebody_sets(self, **changes: FieldValue) -> None:
        """An edit of the first task by another node, which the majority took."""
        self._others += 1
        header = Header("eve@n2", self.clock.last + self._others, request_id=self._others.to_bytes(16, "big"))
        outcome, _ = self.mesh_machine.board.apply(UpdateTask(header, ulid(1), changes))
        assert outcome.ok, outcome.message

    def forget_requests(self) -> None:
        """As after so many writes that no request id from before is remembered."""
        rows = rows_of(replace(self.mesh_machine.board.freeze(), requests=()))
        deque(self.mesh_machine.prepare_restore(rows)(), maxlen=0)

    def task(self, reference: str = ulid(1)) -> Task:
        """A task of the replicated board."""
        task = self.mesh_machine.board.find_task(reference)
        assert task is not None
        return task

    def listed(self, **request: object) -> list[board_pb2.QueuedWrite]:
        """What ListQueuedWrites shows."""
        return list(self.offline.list(board_pb2.ListQueuedWritesRequest(**request)).writes)  # type: ignore[arg-type]


def title_write(title: str, name: str = f"{TASK}{ulid(1)}", request_id: str = "") -> board_pb2.WriteRequest:
    """An edit of a title, by somebody who does not say what it was."""
    update = board_pb2.UpdateTaskRequest(task=board_pb2.Task(name=name, title=title), request_id=request_id)
    update.update_mask.paths.append("title")
    return board_pb2.WriteRequest(update_task=update)


def create_write(title: str, number: int, project: str = "PROJ", request_id: str = "") -> board_pb2.WriteRequest:
    """A new task with the ULID of `number`."""
    create = board_pb2.CreateTaskRequest(
        parent=f"projects/{project}", task_id=ulid(number), task=board_pb2.Task(title=title), request_id=request_id
    )
    return board_pb2.WriteRequest(create_task=create)


def request_bytes(text: str) -> bytes:
    """A request id as the board keeps it."""
    return parse_request_id(text)
