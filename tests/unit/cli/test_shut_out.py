"""What the command line says of a node that others turn away, and what it takes their word for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest
from google.protobuf.message import Message
from tests.fakes.board_server import BoardServer, board_server

from weftmesh.board.v1 import board_pb2
from weftmesh.cli.__main__ import run
from weftmesh.cli.exit_codes import ExitCode
from weftmesh.cli.queueing import carry_out
from weftmesh.cli.session import Session
from weftmesh.core.errors import ForbiddenError, NoQuorumError, UnauthenticatedError, UnknownOutcomeError, WeftmeshError
from weftmesh.mesh.v1 import mesh_pb2

NOT_A_MEMBER = ForbiddenError("node fake is not a member of this mesh, or no longer", reason="NOT_A_MEMBER")
REVOKED = UnauthenticatedError("certificate a1 of fake is revoked", reason="CERTIFICATE_REVOKED")


@dataclass
class Ran:
    code: ExitCode
    err: str


AddTask = Callable[..., Awaitable[Ran]]


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[BoardServer]:
    async with board_server(tmp_path / "api.sock") as running:
        running.mesh.members.extend(
            mesh_pb2.Member(name=name, address="127.0.0.1:7470", role=mesh_pb2.MEMBER_ROLE_VOTER)
            for name in ("n1", "n2")
        )
        yield running


@pytest.fixture
def session(server: BoardServer) -> Session:
    session = Session()
    session.socket, session.timeout_s = str(server.socket), 30.0
    return session


@pytest.fixture
def add_task(server: BoardServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> AddTask:
    monkeypatch.setenv("WEFTMESH_SOCKET", str(server.socket))

    async def call(error: WeftmeshError, *options: str) -> Ran:
        server.board.faults.refuse.extend([error] * 100)
        code = await asyncio.to_thread(run, ("--timeout", "3", "task", "add", "PROJ", "x", *options))
        return Ran(code, capsys.readouterr().err)

    return call


@pytest.mark.parametrize("error", [NoQuorumError("alone"), UnknownOutcomeError("it may have been applied")])
async def test_a_node_that_a_majority_of_the_others_calls_no_member_queues_nothing(
    server: BoardServer, session: Session, error: WeftmeshError
) -> None:
    async def write(_request: Message, *, timeout_s: float) -> NoReturn:
        raise error

    server.trust.refusals = {"n1": NOT_A_MEMBER, "n2": NOT_A_MEMBER}
    request = board_pb2.CreateTaskRequest(parent="projects/PROJ")
    async with session.client() as client:
        with pytest.raises(type(error), match="fake is not a member of this mesh, or no longer: n1 says so") as raised:
            await carry_out(session, client, write, request, no_queue=False)
    assert ("it may have been applied" in str(raised.value)) == isinstance(error, UnknownOutcomeError)
    assert (raised.value.reason == "NODE_REMOVED") == isinstance(error, NoQuorumError)
    assert server.board.queued == {}


async def test_one_member_that_lags_behind_does_not_send_a_node_to_erase_what_it_has(
    server: BoardServer, add_task: AddTask
) -> None:
    server.trust.refusals = {"n1": NOT_A_MEMBER, "n2": WeftmeshError("down")}
    ran = await add_task(NoQuorumError("alone"))
    assert ran.code == ExitCode.QUEUED, ran.err
    assert "purge" not in ran.err


async def test_what_an_observer_says_of_members_does_not_count(server: BoardServer, add_task: AddTask) -> None:
    server.trust.refusals = {"other": NOT_A_MEMBER, "n1": NOT_A_MEMBER}
    assert (await add_task(NoQuorumError("alone"))).code == ExitCode.QUEUED


async def test_a_write_of_unknown_outcome_stays_one_on_a_node_that_was_removed(
    server: BoardServer, add_task: AddTask
) -> None:
    server.trust.refusals = {"n1": NOT_A_MEMBER, "n2": NOT_A_MEMBER}
    ran = await add_task(UnknownOutcomeError("it may or may not have been applied"))
    assert ran.code == ExitCode.ERROR
    assert "nothing was changed" not in ran.err
    assert "weftmesh purge" in ran.err


@pytest.mark.parametrize("refusal", [NOT_A_MEMBER, REVOKED])
async def test_of_a_command_that_wrote_several_times_nobody_says_that_nothing_was_changed(
    server: BoardServer, session: Session, refusal: WeftmeshError
) -> None:
    server.trust.refusals = {"n1": refusal, "n2": refusal}
    with pytest.raises(NoQuorumError) as raised:
        async with session.client():
            raise NoQuorumError("the second batch", metadata={"request_id": "7"})
    assert "nothing was changed" not in str(raised.value)
    assert raised.value.metadata == {"request_id": "7"}
