"""Without a quorum the command line queues what it writes, says so, and shows what waits."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import pytest
from google.protobuf.message import Message
from tests.fakes.board_server import BoardServer, board_server

from weftmesh.board.v1 import board_pb2
from weftmesh.cli.__main__ import run
from weftmesh.cli.exit_codes import ExitCode
from weftmesh.cli.importing import never_queued
from weftmesh.cli.queueing import carry_out, carry_out_project
from weftmesh.cli.session import Session
from weftmesh.core.errors import NoQuorumError, UnknownOutcomeError, WeftmeshError

PATIENCE_S = 30
WITHOUT_QUORUM_S = 3
"""Half of it goes by before a write is queued, whether or not the last attempt comes back in time: what a test says of
why it was queued, it has to learn of an attempt that it makes itself."""


@dataclass
class Ran:
    code: ExitCode
    out: str
    err: str


Weftmesh = Callable[..., Awaitable[Ran]]


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[BoardServer]:
    async with board_server(tmp_path / "api.sock") as running:
        yield running


@pytest.fixture
def session(server: BoardServer) -> Session:
    session = Session()
    session.socket, session.timeout_s = str(server.socket), PATIENCE_S
    return session


@pytest.fixture
async def weftmesh(
    server: BoardServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Weftmesh:
    monkeypatch.setenv("WEFTMESH_SOCKET", str(server.socket))

    async def call(*arguments: str) -> Ran:
        timeout_s = WITHOUT_QUORUM_S if server.board.faults.refuse else PATIENCE_S
        code = await asyncio.to_thread(run, ("--timeout", str(timeout_s), *arguments))
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    await call("project", "add", "PROJ")
    await call("task", "add", "PROJ", "first")
    return call


@dataclass
class Attempt:
    """A call of the client, which fails."""

    error: WeftmeshError
    made: list[tuple[Message, float]] = field(default_factory=list)

    async def __call__(self, request: Message, *, timeout_s: float) -> NoReturn:
        self.made.append((request, timeout_s))
        raise self.error


@pytest.mark.parametrize(
    ("error", "words"),
    [(NoQuorumError("alone"), "no quorum"), (UnknownOutcomeError("silence"), "no majority answered")],
)
async def test_a_write_without_a_quorum_is_queued_as_the_same_request(
    server: BoardServer, session: Session, capsys: pytest.CaptureFixture[str], error: WeftmeshError, words: str
) -> None:
    attempt = Attempt(error)
    request = board_pb2.CreateTaskRequest(parent="projects/PROJ", task=board_pb2.Task(title="second"))

    async with session.client() as client:
        assert await carry_out(session, client, attempt, request, no_queue=False) is None

    ((request_id, queued),) = server.board.queued.items()
    create = queued.write.create_task
    assert (create.request_id, create.task.title) == (request_id, "second")
    assert attempt.made == [(create, session.timeout_s / 2)]
    told = capsys.readouterr()
    assert told.out == f"projects/PROJ/tasks/{create.task_id}\n"
    assert words in told.err
    assert f"queued on fake as {queued.name}" in told.err


async def test_a_write_that_may_not_wait_fails_as_its_attempt_did(server: BoardServer, session: Session) -> None:
    attempt = Attempt(NoQuorumError("alone"))
    task = board_pb2.CreateTaskRequest(parent="projects/PROJ")
    project = board_pb2.UpdateProjectRequest(project=board_pb2.Project(name="projects/PROJ"))

    async with session.client() as client:
        with pytest.raises(NoQuorumError, match="alone"):
            await carry_out(session, client, attempt, task, no_queue=True)
        with pytest.raises(NoQuorumError, match="alone"):
            await carry_out_project(session, client, attempt, project, no_queue=True)

    assert attempt.made == [(task, session.timeout_s), (project, session.timeout_s)]
    assert server.board.queued == {}


async def test_what_is_queued_is_json_too(server: BoardServer, weftmesh: Weftmesh) -> None:
    server.board.faults.refuse.extend([NoQuorumError("alone")] * 100)
    ran = await weftmesh("--json", "task", "add", "PROJ", "second")
    assert ran.code == ExitCode.QUEUED
    queued = json.loads(ran.out)["queued"]
    assert (queued["state"], queued["write"]["create_task"]["task"]["title"]) == ("pending", "second")


async def test_no_queue_fails_instead(server: BoardServer, weftmesh: Weftmesh) -> None:
    server.board.faults.refuse.extend([NoQuorumError("alone")] * 100)
    ran = await weftmesh("task", "add", "PROJ", "second", "--no-queue")
    assert ran.code not in (ExitCode.OK, ExitCode.QUEUED)
    assert server.board.queued == {}


async def test_a_write_goes_behind_those_that_wait_for_the_same_task(server: BoardServer, weftmesh: Weftmesh) -> None:
    server.board.faults.refuse.extend([NoQuorumError("alone")] * 100)
    await weftmesh("task", "claim", "PROJ-1")
    server.board.faults.refuse.clear()
    attempts = len(server.board.seen_request_ids)

    ran = await weftmesh("task", "set", "PROJ-1", "title=later")

    assert ran.code == ExitCode.QUEUED
    assert "earlier writes" in ran.err
    assert len(server.board.seen_request_ids) == attempts
    assert [write.write.WhichOneof("write") for write in server.board.queued.values()] == ["claim_task", "update_task"]


async def test_the_queue_is_listed_and_seen_on_its_tasks(server: BoardServer, weftmesh: Weftmesh) -> None:
    server.board.faults.refuse.extend([NoQuorumError("alone")] * 100)
    await weftmesh("task", "claim", "PROJ-1")
    server.board.faults.refuse.clear()

    assert "claim task" in (await weftmesh("pending", "ls")).out
    shown = await weftmesh("task", "show", "PROJ-1")
    assert "1 writes wait on this node" in shown.out
    assert "(pending)" in (await weftmesh("task", "ls", "PROJ")).out
    assert json.loads((await weftmesh("--json", "task", "show", "PROJ-1")).out)["task"]["pending_writes"] == 1


async def test_a_queued_write_is_discarded_by_the_beginning_of_its_id(server: BoardServer, weftmesh: Weftmesh) -> None:
    server.board.faults.refuse.extend([NoQuorumError("alone")] * 100)
    await weftmesh("task", "claim", "PROJ-1")
    server.board.faults.refuse.clear()

    def waiting() -> list[Any]:
        return list(server.board.queued.values())

    assert (await weftmesh("pending", "discard", "0000", "--dry-run")).code == ExitCode.OK
    assert len(waiting()) == 1
    ran = await weftmesh("pending", "discard", "0000")
    assert (ran.code, waiting()) == (ExitCode.OK, [])
    assert "was discarded" in ran.err
    assert (await weftmesh("pending", "retry", "0000")).code == ExitCode.NOT_FOUND


async def test_a_project_is_queued_and_tasks_in_it_behind_it(server: BoardServer, weftmesh: Weftmesh) -> None:
    server.board.faults.refuse.extend([NoQuorumError("alone")] * 100)
    ran = await weftmesh("project", "add", "OPS", "--title", "Operations")
    server.board.faults.refuse.clear()
    assert (ran.code, ran.out) == (ExitCode.QUEUED, "OPS\n"), ran.err

    ran = await weftmesh("task", "add", "OPS", "in a project that waits")
    assert ran.code == ExitCode.QUEUED, ran.err
    assert "its project waits" in ran.err
    kinds = [write.write.WhichOneof("write") for write in server.board.queued.values()]
    assert kinds == ["create_project", "create_task"]


async def test_a_project_that_nobody_knows_is_not_found(server: BoardServer, weftmesh: Weftmesh) -> None:
    assert (await weftmesh("task", "add", "NOBODY", "x")).code == ExitCode.NOT_FOUND
    assert server.board.queued == {}


async def test_a_project_s_write_fails_where_it_may_not_wait(server: BoardServer, weftmesh: Weftmesh) -> None:
    server.board.faults.refuse.extend([NoQuorumError("alone")] * 100)
    ran = await weftmesh("project", "set", "PROJ", "--title", "x", "--no-queue")
    assert ran.code not in (ExitCode.OK, ExitCode.QUEUED)
    assert server.board.queued == {}


async def test_a_project_s_write_goes_behind_those_that_wait_for_it(server: BoardServer, weftmesh: Weftmesh) -> None:
    server.board.faults.refuse.extend([NoQuorumError("alone")] * 100)
    assert (await weftmesh("project", "set", "PROJ", "--title", "earlier")).code == ExitCode.QUEUED
    server.board.faults.refuse.clear()

    ran = await weftmesh("project", "set", "PROJ", "--title", "later")

    assert ran.code == ExitCode.QUEUED, ran.err
    assert "earlier writes to this project wait" in ran.err
    titles = [write.write.update_project.project.title for write in server.board.queued.values()]
    assert titles == ["earlier", "later"]


async def test_what_waits_for_a_task_holds_up_no_write_to_its_project(server: BoardServer, weftmesh: Weftmesh) -> None:
    server.board.faults.refuse.extend([NoQuorumError("alone")] * 100)
    assert (await weftmesh("task", "add", "PROJ", "second")).code == ExitCode.QUEUED
    server.board.faults.refuse.clear()
    assert (await weftmesh("project", "set", "PROJ", "--title", "now")).code == ExitCode.OK


async def test_a_node_does_not_leave_with_writes_that_nobody_else_has(server: BoardServer, weftmesh: Weftmesh) -> None:
    server.board.faults.refuse.extend([NoQuorumError("alone")] * 100)
    await weftmesh("task", "add", "PROJ", "second")
    server.board.faults.refuse.clear()

    refused = await weftmesh("leave")
    assert refused.code == ExitCode.ERROR
    assert "1 writes wait on fake" in refused.err
    assert "left the mesh" in (await weftmesh("leave", "--force")).out


async def test_an_import_says_that_it_is_never_queued(session: Session) -> None:
    async with session.client() as client:
        with pytest.raises(NoQuorumError, match="alone; an import is never queued: give it again when"):
            async with never_queued(session, client, "an import"):
                raise NoQuorumError("alone")
