"""How long a client waits before it asks again: what the node says, and never beyond the caller's patience."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from weftmesh.board.v1 import board_pb2, board_pb2_grpc
from weftmesh.client import connect
from weftmesh.client.calls import Calls
from weftmesh.client.limits import RETRY_PAUSE_FIRST_S, RETRY_SPREAD
from weftmesh.client.retry import Backoff, pause_after, until_deadline
from weftmesh.core.errors import NoQuorumError, OverloadedError, UnknownOutcomeError, WeftmeshError
from weftmesh.runtime.rpc import ErrorInterceptor, server_options, to_write_failed


def limited(wait_ms: int) -> OverloadedError:
    return OverloadedError("too often", reason="RATE_LIMITED", metadata={"retry_after_ms": str(wait_ms)})


def test_what_an_overloaded_node_asks_for_is_waited_and_not_much_more() -> None:
    pauses_s = [pause_after(limited(3_000), Backoff()) for _ in range(50)]
    assert min(pauses_s) >= 3.0
    assert max(pauses_s) <= 3.0 * (1 + RETRY_SPREAD)
    assert len(set(pauses_s)) > 1, "those that were refused together come back together"


def test_a_node_without_a_quorum_is_asked_again_soon() -> None:
    assert pause_after(NoQuorumError("1 of 3"), Backoff()) <= RETRY_PAUSE_FIRST_S


async def test_a_wait_beyond_the_deadline_is_not_begun() -> None:
    async def attempt(_left_s: float) -> None:
        raise limited(60_000)

    async with asyncio.timeout(10):
        with pytest.raises(OverloadedError) as caught:
            await until_deadline(attempt, timeout_s=30.0)
    assert caught.value.reason == "RATE_LIMITED"


class Limited(board_pb2_grpc.BoardServiceServicer):  # type: ignore[misc]  # generated, untyped
    """Refuses the first call and the first write, and says for how long."""

    def __init__(self) -> None:
        self.asked_s: list[float] = []
        self.wait_ms = 600

    async def GetTask(self, request: board_pb2.GetTaskRequest, context: object) -> board_pb2.Task:  # noqa: N802
        if error := self._refusal():
            raise error
        return board_pb2.Task(name=request.name)

    async def Write(  # noqa: N802
        self, requests: AsyncIterator[board_pb2.WriteRequest], context: object
    ) -> AsyncIterator[board_pb2.WriteResponse]:
        async for request in requests:
            answer = board_pb2.WriteResponse(sequence=request.sequence)
            if error := self._refusal():
                answer.failed.CopyFrom(to_write_failed(error))
            else:
                answer.applied.revision = 7
            yield answer

    def _refusal(self) -> WeftmeshError | None:
        self.asked_s.append(time.monotonic())
        return limited(self.wait_ms) if len(self.asked_s) == 1 else None


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Limited]:
    servicer = Limited()
    server = grpc.aio.server(interceptors=[ErrorInterceptor()], options=server_options())
    board_pb2_grpc.add_BoardServiceServicer_to_server(servicer, server)
    server.add_insecure_port(f"unix:{tmp_path}/api.sock")
    await server.start()
    yield servicer
    await server.stop(None)


@pytest.mark.parametrize("kind", ["read", "streamed write"])
async def test_a_client_that_is_refused_waits_as_it_is_told_and_succeeds(
    node: Limited, tmp_path: Path, kind: str
) -> None:
    async with connect(f"{tmp_path}/api.sock") as client:
        answer: Any
        if kind == "read":
            answer = await client.board.get_task(board_pb2.GetTaskRequest(name="tasks/A-1"), timeout_s=30)
            assert answer.name == "tasks/A-1"
        else:
            answer = await client.write(board_pb2.UpdateTaskRequest(), timeout_s=30)
            assert answer.revision == 7
    first_s, second_s = node.asked_s
    assert second_s - first_s >= node.wait_ms / 1000


async def test_a_caller_without_that_patience_is_told_at_once(node: Limited, tmp_path: Path) -> None:
    node.wait_ms = 60_000
    async with connect(f"{tmp_path}/api.sock") as client:
        with pytest.raises(OverloadedError, match="too often"):
            await client.board.get_task(board_pb2.GetTaskRequest(name="tasks/A-1"), timeout_s=20)
    assert len(node.asked_s) == 1


class LosesItsQuorum(board_pb2_grpc.BoardServiceServicer):  # type: ignore[misc]  # generated, untyped
    """Takes a write to the log, never learns what became of it, and in the end has its callers wait for long."""

    def __init__(self) -> None:
        self.answers = [UnknownOutcomeError("the leader went away"), NoQuorumError("1 of 3"), limited(600_000)]

    async def QueueWrite(  # noqa: N802
        self, request: board_pb2.WriteRequest, context: object
    ) -> board_pb2.QueuedWrite:
        raise self.answers.pop(0)


async def test_an_unknown_outcome_is_not_covered_up_by_an_attempt_that_did_nothing(tmp_path: Path) -> None:
    node = LosesItsQuorum()
    server = grpc.aio.server(interceptors=[ErrorInterceptor()], options=server_options())
    board_pb2_grpc.add_BoardServiceServicer_to_server(node, server)
    server.add_insecure_port(f"unix:{tmp_path}/api.sock")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"unix:{tmp_path}/api.sock") as channel:
            calls, method = Calls(channel, "node1"), board_pb2_grpc.BoardServiceStub(channel).QueueWrite
            with pytest.raises(UnknownOutcomeError, match="the leader went away"):
                await calls.repeated(method, board_pb2.WriteRequest(), timeout_s=60.0)
    finally:
        await server.stop(None)
    assert not node.answers, "it was asked again until it was told to wait for too long"
