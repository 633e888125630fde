"""A stream of writes: answered in messages of a bounded size, whatever the writes have to wait for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable

from google.protobuf.message import Message
from tests.fakes.raft_engine import InMemoryEngine
from tests.unit.core.board.writer import ulid

from weftmesh.agent.board.homes import MESH, Home
from weftmesh.agent.board.machines import LogMachines
from weftmesh.agent.board.write_stream import (
    MESSAGE_BYTES_SOFT_MAX,
    RESPONSES_PER_MESSAGE_MAX,
    WRITES_PER_TURN,
    WriteStream,
)
from weftmesh.agent.serving.callers import Caller
from weftmesh.agent.serving.requests import Call
from weftmesh.board.v1 import board_pb2
from weftmesh.core.board.outcomes import Outcome, OutcomeKind
from weftmesh.core.clock import HybridClock
from weftmesh.core.errors import OverloadedError, UnknownOutcomeError
from weftmesh.runtime.rpc import MESSAGE_BYTES_MAX

PATIENCE_S = 20.0
APPLIED = Outcome(OutcomeKind.APPLIED, 7, current_version=1)
ANSWER_BYTES = 64 * 1024
AT_ONCE, LATER, LOST, FULL, DEFECT = map(ulid, range(1, 6))
"""How the fake below answers a write to the task of this id."""


class Scripted:
    """Implements `Writes`: a task's id says how a write to it ends."""

    def __init__(self) -> None:
        machine = LogMachines(MESH, HybridClock())
        self.home = Home(MESH, machine, InMemoryEngine(machine), pending_writes_max=1)
        self.barrier = asyncio.Event()

    def begin_at_once(self, request: Message, call: Call) -> tuple[Home, asyncio.Future[Outcome]] | None:
        assert isinstance(request, board_pb2.DeleteTaskRequest)
        if request.name == LATER:
            return None
        if request.name == FULL:
            raise OverloadedError("many writes wait")
        pending: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        if request.name == LOST:
            pending.set_exception(UnknownOutcomeError("no answer"))
        elif request.name == DEFECT:
            pending.set_exception(ValueError("a programming error"))
        else:
            pending.set_result(APPLIED)
        return self.home, pending

    async def write(self, request: Message, call: Call) -> tuple[Home, Outcome]:
        await self.barrier.wait()
        return self.home, APPLIED


def begin(_write: board_pb2.WriteRequest) -> Call:
    return Call.within(Caller(actor="ann@n1", user="ann", node=""), PATIENCE_S)


def show(_request: object, _home: Home, _outcome: Outcome, applied: board_pb2.WriteApplied) -> None:
    applied.task.description = "x" * ANSWER_BYTES


def fail_to_show(*_: object) -> None:
    raise ValueError("a programming error")


def write(sequence: int, task: str, *, resource: bool = False) -> board_pb2.WriteRequest:
    delete = board_pb2.DeleteTaskRequest(name=task)
    return board_pb2.WriteRequest(sequence=sequence, delete_task=delete, return_resource=resource)


async def sent(writes: Iterable[board_pb2.WriteRequest]) -> AsyncIterator[board_pb2.WriteRequest]:
    for one in writes:
        yield one


async def answers(stream: WriteStream, *writes: board_pb2.WriteRequest) -> list[board_pb2.WriteResponse]:
    """The messages that leave."""
    reader = asyncio.ensure_future(stream.read(sent(writes)))
    async with asyncio.timeout(PATIENCE_S):
        return [message async for message in stream.responses(reader)]


def single(messages: list[board_pb2.WriteResponse]) -> list[board_pb2.WriteResponse]:
    return [one for message in messages for one in (message.batch.responses or [message])]


async def test_a_write_that_waits_holds_up_nobody() -> None:
    writes = Scripted()
    stream = WriteStream(writes, begin, show)
    reader = asyncio.ensure_future(stream.read(sent([write(1, LATER), write(2, AT_ONCE)])))
    messages = stream.responses(reader)

    async with asyncio.timeout(PATIENCE_S):
        assert (await anext(messages)).sequence == 2
        writes.barrier.set()
        last = await anext(messages)

    assert (last.sequence, last.applied.revision) == (1, 7)


async def test_a_defect_is_an_answer_too_and_the_stream_ends() -> None:
    first, last = single(await answers(WriteStream(Scripted(), begin, show), write(1, DEFECT), write(2, AT_ONCE)))
    assert (first.sequence, first.HasField("failed")) == (1, True)
    assert (last.sequence, last.applied.revision) == (2, 7)


async def test_every_write_gets_its_own_answer() -> None:
    batch = board_pb2.WriteBatch(writes=[write(1, AT_ONCE), write(2, LOST), write(3, FULL), write(4, AT_ONCE)])
    empty = board_pb2.WriteRequest(sequence=5)

    messages = await answers(WriteStream(Scripted(), begin, show), board_pb2.WriteRequest(batch=batch), empty)

    ends = {one.sequence: one.WhichOneof("result") for one in single(messages)}
    assert ends == {1: "applied", 2: "failed", 3: "failed", 4: "applied", 5: "failed"}


async def test_an_answer_that_cannot_be_shown_is_a_failure_of_its_own() -> None:
    stream = WriteStream(Scripted(), begin, fail_to_show)

    messages = await answers(stream, write(1, AT_ONCE, resource=True), write(2, AT_ONCE))

    ends = {one.sequence: one.WhichOneof("result") for one in single(messages)}
    assert ends == {1: "failed", 2: "applied"}


async def test_messages_of_answers_are_bounded_in_bytes() -> None:
    large = [write(number, AT_ONCE, resource=True) for number in range(4 * MESSAGE_BYTES_SOFT_MAX // ANSWER_BYTES)]

    messages = await answers(WriteStream(Scripted(), begin, show), board_pb2.WriteRequest(batch={"writes": large}))

    assert len(single(messages)) == len(large)
    assert max(message.ByteSize() for message in messages) < MESSAGE_BYTES_MAX / 2


async def test_messages_of_answers_are_bounded_in_number() -> None:
    count = 2 * RESPONSES_PER_MESSAGE_MAX + 1
    many = [board_pb2.WriteBatch(writes=[write(one, AT_ONCE) for one in range(1_000)]) for _ in range(count // 1_000)]

    messages = await answers(
        WriteStream(Scripted(), begin, show), *[board_pb2.WriteRequest(batch=batch) for batch in many]
    )

    assert len(single(messages)) == len(many) * 1_000
    assert max(len(message.batch.responses) for message in messages) <= RESPONSES_PER_MESSAGE_MAX


async def test_others_get_their_turn_while_a_large_batch_is_taken_in() -> None:
    batch = board_pb2.WriteBatch(writes=[write(one, AT_ONCE) for one in range(8 * WRITES_PER_TURN)])
    stream = WriteStream(Scripted(), begin, show)
    reader = asyncio.ensure_future(stream.read(sent([board_pb2.WriteRequest(batch=batch)])))
    turns = 0
    while not reader.done():
        turns += 1
        await asyncio.sleep(0)

    assert turns >= 8
