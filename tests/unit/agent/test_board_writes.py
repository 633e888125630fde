"""Writes reach the log of the right home, and a stream of them holds a bounded number of answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from itertools import count

import pytest
from tests.fakes.raft_engine import InMemoryEngine
from tests.unit.core.board.writer import ulid

from weftmesh.agent.board.homes import MESH, Home, Homes
from weftmesh.agent.board.machines import LogMachines
from weftmesh.agent.board.write_stream import STREAM_WRITES_MAX
from weftmesh.agent.board.writes import BoardWrites
from weftmesh.agent.serving.callers import Caller
from weftmesh.agent.serving.requests import Call
from weftmesh.board.v1 import board_pb2
from weftmesh.core.board.commands import Command, CreateProject, CreateTask, Header
from weftmesh.core.clock import HybridClock
from weftmesh.core.errors import AlreadyExistsError, InvalidInputError, NotFoundError, PreconditionError
from weftmesh.runtime.wire.commands import encode_command

PATIENCE_S = 20.0
LOCAL = "node:n1"
ANN = Caller(actor="ann@n1", user="ann", node="")


class LaggingEngine(InMemoryEngine):
    """An engine whose node learns what others did when it asks."""

    def __init__(self, machine: LogMachines) -> None:
        super().__init__(machine)
        self.machine = machine
        self.unheard: list[Command] = []

    async def read_barrier(self, timeout_s: float) -> int:
        while self.unheard:
            self.machine.board.apply(self.unheard.pop())
        return await super().read_barrier(timeout_s)


class Bench:
    """Both homes of node n1, and what its replicated log was asked to take."""

    def __init__(self) -> None:
        machine, own = LogMachines(MESH, HybridClock()), LogMachines(LOCAL, HybridClock())
        self.engine = LaggingEngine(machine)
        self.mesh = Home(MESH, machine, self.engine, pending_writes_max=10_000)
        self.local = Home(LOCAL, own, InMemoryEngine(own), pending_writes_max=10_000)
        ids = count(1)
        self.writes = BoardWrites(Homes(self.mesh, self.local), HybridClock(), lambda: ulid(next(ids)))

    def call(self) -> Call:
        return Call(ANN, asyncio.get_running_loop().time() + PATIENCE_S)

    async def create(self, project_id: str, home: str, title: str = "Title", *, validate_only: bool = False) -> Home:
        request = board_pb2.CreateProjectRequest(
            project_id=project_id, project=board_pb2.Project(title=title, home=home), validate_only=validate_only
        )
        return (await self.writes.write(request, self.call()))[0]

    async def add_task(self, project_id: str, title: str) -> Home:
        request = board_pb2.CreateTaskRequest(parent=f"projects/{project_id}", task=board_pb2.Task(title=title))
        return (await self.writes.write(request, self.call()))[0]


@pytest.fixture
async def bench() -> Bench:
    return Bench()


def create_project(project_id: str, home: str) -> CreateProject:
    return CreateProject(Header("bob@n2", 1, b"\1" * 16), project_id, "", home=home)


async def test_a_name_with_another_project_means_no_task_also_once_this_node_has_heard_of_it(bench: Bench) -> None:
    task_id = ulid(77)
    bench.mesh.board.apply(create_project("OPEN", MESH))
    bench.engine.unheard = [
        CreateTask(Header("bob@n2", 3), "PRIV", task_id, {"title": "secret"}),
        CreateProject(Header("bob@n2", 2), "PRIV", ""),
    ]
    request = board_pb2.UpdateTaskRequest(task=board_pb2.Task(name=f"projects/OPEN/tasks/{task_id}", title="mine"))
    with pytest.raises(NotFoundError):
        await bench.writes.write(request, bench.call())
    known = bench.mesh.board.find_task(task_id)
    assert known is not None
    assert known.title == "secret"
    request.task.name = f"projects/PRIV/tasks/{task_id}"
    await bench.writes.write(request, bench.call())


async def test_a_task_of_this_node_stays_here_while_the_mesh_board_is_behind(bench: Bench) -> None:
    await bench.local.writer.submit(encode_command(create_project("MINE", LOCAL)), bench.call().deadline)

    assert await bench.add_task("MINE", "secret") is bench.local

    assert bench.engine.proposals == []


async def test_a_task_of_a_project_unheard_of_waits_for_where_the_project_lives(bench: Bench) -> None:
    bench.engine.unheard.append(create_project("THEIRS", "node:n2"))

    with pytest.raises(PreconditionError, match="lives on node n2"):
        await bench.add_task("THEIRS", "secret")

    assert bench.engine.proposals == []


async def test_a_task_of_a_project_nobody_has_is_refused(bench: Bench) -> None:
    with pytest.raises(NotFoundError, match="no project 'NONE'"):
        await bench.add_task("NONE", "a task")
    assert bench.engine.proposals == []


async def test_a_name_reserved_by_an_attempt_that_went_no_further_is_used_by_the_next(bench: Bench) -> None:
    await bench.mesh.writer.submit(encode_command(create_project("MINE", LOCAL)), bench.call().deadline)

    assert await bench.create("MINE", LOCAL) is bench.local

    assert bench.local.board.project("MINE") is not None
    with pytest.raises(AlreadyExistsError):
        await bench.create("MINE", LOCAL)


async def test_a_local_project_that_its_own_board_refuses_reserves_no_name(bench: Bench) -> None:
    with pytest.raises(InvalidInputError):
        await bench.create("MINE", LOCAL, title="x" * 1_000)
    assert bench.mesh.board.project("MINE") is None


async def test_only_validating_a_local_project_says_what_creating_it_would(bench: Bench) -> None:
    with pytest.raises(PreconditionError, match="lives on node n2"):
        await bench.create("THEIRS", "node:n2", validate_only=True)
    assert await bench.create("MINE", LOCAL, validate_only=True) is bench.local
    assert (bench.mesh.board.revision, bench.local.board.revision) == (0, 0)


async def test_a_caller_that_reads_no_answers_is_not_read_for_ever(bench: Bench) -> None:
    await bench.create("OPEN", MESH)
    taken = 0

    def requests() -> Iterator[board_pb2.WriteRequest]:
        nonlocal taken
        for taken in range(1, 3 * STREAM_WRITES_MAX + 1):
            delete = board_pb2.DeleteTaskRequest(name="not a name")
            yield board_pb2.WriteRequest(sequence=taken, delete_task=delete)

    async def arriving() -> AsyncIterator[board_pb2.WriteRequest]:
        for number, request in enumerate(requests()):
            if number % 1_000 == 0:
                await asyncio.sleep(0)
            yield request

    answers = bench.writes.stream(arriving(), lambda _write: bench.call(), unshown)
    answered = _count(await anext(answers))
    for _ in range(1_000):  # time for the reading side to go on without the caller
        await asyncio.sleep(0)
    assert taken <= STREAM_WRITES_MAX + 1
    async for response in answers:
        answered += _count(response)
    assert answered == 3 * STREAM_WRITES_MAX


def unshown(*_: object) -> None:
    """For writes that do not ask for what they left."""


def _count(response: board_pb2.WriteResponse) -> int:
    return len(response.batch.responses) if response.HasField("batch") else 1
