"""A learner's session over a real socket, with a node that says what a test wants it to."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from structlog.testing import capture_logs

from weftmesh.client import connect
from weftmesh.core.errors import NodeUnreachableError, PreconditionError, WeftmeshError
from weftmesh.learner.config import QUESTIONS_MAX, REOPEN_MAX
from weftmesh.learner.session import NOT_IN_TIME, Answer, Ending, Session
from weftmesh.learning.v1 import learning_pb2, learning_pb2_grpc
from weftmesh.learning.v1.learning_pb2 import AgentMessage

SECRET = "the customer's name is Ada"
IDLE_S = 20.0


class ScriptedNode(learning_pb2_grpc.LearningServiceServicer):  # type: ignore[misc]
    """Implements Attend: sends what `say` is given, and keeps what it is told.

    Attributes:
        calls: how many learners came.
        breaks: so many calls are broken off before the learner is admitted.
    """

    def __init__(self) -> None:
        self.calls = 0
        self.breaks = 0
        self.answers: asyncio.Queue[learning_pb2.LearnerAnswer] = asyncio.Queue()
        self._script: asyncio.Queue[AgentMessage | None] = asyncio.Queue()
        self._sequence = 0

    async def Attend(self, messages: Any, context: Any) -> AsyncIterator[AgentMessage]:  # noqa: N802
        self.calls += 1
        first = await anext(aiter(messages))
        assert first.HasField("ready")
        if self.breaks:
            self.breaks -= 1
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the node goes down")
        reader = asyncio.create_task(self._read(messages))
        try:
            yield AgentMessage(admitted=learning_pb2.Admitted(node="node1", cluster="dev", term=3))
            while (message := await self._script.get()) is not None:
                yield message
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the node goes down")
        finally:
            reader.cancel()

    async def _read(self, messages: Any) -> None:
        async for message in messages:
            self.answers.put_nowait(message.answer)

    def ask(self, payload: bytes, timeout_s: float = 10.0, sequence: int = 0) -> int:
        """Put a question; its sequence number."""
        self._sequence = sequence or self._sequence + 1
        question = learning_pb2.LearnerQuestion(
            sequence=self._sequence, job="effort", payload=payload, timeout_ms=round(timeout_s * 1_000)
        )
        self._script.put_nowait(AgentMessage(question=question))
        return self._sequence

    def dismiss(self) -> None:
        self._script.put_nowait(AgentMessage(dismissed=learning_pb2.Dismissed(why="nobody asks")))

    def break_off(self) -> None:
        self._script.put_nowait(None)

    async def answer(self) -> learning_pb2.LearnerAnswer:
        async with asyncio.timeout(10):
            return await self.answers.get()


@asynccontextmanager
async def attending(
    path: Path, answer: Answer, *, breaks: int = 0, idle_s: float = IDLE_S
) -> AsyncIterator[tuple[ScriptedNode, asyncio.Task[Ending]]]:
    """A node, and a session that answers its questions with `answer`."""
    node = ScriptedNode()
    node.breaks = breaks
    server = grpc.aio.server()
    learning_pb2_grpc.add_LearningServiceServicer_to_server(node, server)
    server.add_insecure_port(f"unix:{path}/api.sock")
    await server.start()
    async with connect(f"{path}/api.sock") as client:
        task = asyncio.create_task(Session(client, lambda _: answer, idle_s).run())
        try:
            yield node, task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await server.stop(None)


def echo(job: str, payload: bytes) -> bytes:
    return f"{job}: ".encode() + payload


def raising(error: Exception) -> Callable[[str, bytes], bytes]:
    def answer(_job: str, _payload: bytes) -> bytes:
        raise error

    return answer


async def test_questions_are_answered_until_the_learner_is_dismissed(tmp_path: Path) -> None:
    async with attending(tmp_path, echo) as (node, task):
        for number in range(1, 4):
            assert node.ask(b"%d" % number) == number
            answer = await node.answer()
            assert (answer.sequence, answer.payload) == (number, b"effort: %d" % number)
        node.dismiss()
        assert await task is Ending.DISMISSED


async def test_a_learner_that_nobody_asks_ends(tmp_path: Path) -> None:
    async with attending(tmp_path, echo, idle_s=0.3) as (_, task):
        async with asyncio.timeout(10):
            assert await task is Ending.IDLE


async def test_one_question_is_answered_at_a_time_and_the_loop_stays_responsive(tmp_path: Path) -> None:
    at_work, most, lock = 0, 0, threading.Lock()

    def slow(_job: str, payload: bytes) -> bytes:
        nonlocal at_work, most
        with lock:
            at_work += 1
            most = max(most, at_work)
        time.sleep(0.1)
        with lock:
            at_work -= 1
        return payload

    async with attending(tmp_path, slow) as (node, _):
        begin_s = time.monotonic()
        for _ in range(4):
            node.ask(b"x")
        await asyncio.sleep(0)
        assert time.monotonic() - begin_s < 0.1
        assert [(await node.answer()).sequence for _ in range(4)] == [1, 2, 3, 4]
    assert most == 1


async def test_a_question_whose_time_is_up_is_refused_and_the_next_one_answered(tmp_path: Path) -> None:
    released = threading.Event()

    def slow(_job: str, payload: bytes) -> bytes:
        if payload == b"slow":
            released.wait(10)
        return payload

    async with attending(tmp_path, slow) as (node, _):
        node.ask(b"slow", timeout_s=0.1)
        answer = await node.answer()
        assert (answer.sequence, answer.refused) == (1, NOT_IN_TIME)
        released.set()
        node.ask(b"quick")
        answer = await node.answer()
        assert (answer.sequence, answer.payload) == (2, b"quick"), "the late answer of the first is dropped"


async def test_a_refusal_says_why(tmp_path: Path) -> None:
    async with attending(tmp_path, raising(PreconditionError("too few tasks", reason="TOO_FEW"))) as (node, _):
        node.ask(b"x")
        assert (await node.answer()).refused == "TOO_FEW: too few tasks"


async def test_a_failure_is_told_and_logged_without_a_word_of_a_task(tmp_path: Path) -> None:
    with capture_logs() as logs:
        async with attending(tmp_path, raising(ValueError(SECRET))) as (node, _):
            node.ask(b"x")
            assert (await node.answer()).refused == "the learner failed: ValueError"
            node.ask(b"x")
            assert (await node.answer()).sequence == 2, "it goes on"
    assert SECRET not in str(logs)
    assert "ValueError" in str(logs)


async def test_a_question_that_comes_twice_is_answered_once(tmp_path: Path) -> None:
    async with attending(tmp_path, echo) as (node, _):
        node.ask(b"first", sequence=1)
        node.ask(b"first", sequence=1)
        node.ask(b"second", sequence=2)
        assert [(await node.answer()).sequence for _ in range(2)] == [1, 2]


async def test_more_questions_than_may_wait_are_refused(tmp_path: Path) -> None:
    released = threading.Event()

    def held(_job: str, payload: bytes) -> bytes:
        released.wait(10)
        return payload

    async with attending(tmp_path, held) as (node, _):
        for _ in range(QUESTIONS_MAX + 1):
            node.ask(b"x")
        answer = await node.answer()
        assert answer.sequence == QUESTIONS_MAX + 1
        assert answer.refused.startswith("OVERLOADED")
        released.set()
        assert [(await node.answer()).sequence for _ in range(QUESTIONS_MAX)] == list(range(1, QUESTIONS_MAX + 1))


async def test_a_call_that_breaks_is_made_again_and_what_was_learned_is_kept(tmp_path: Path) -> None:
    made = 0

    def counting(_job: str, _payload: bytes) -> bytes:
        nonlocal made
        made += 1
        return b"%d" % made

    async with attending(tmp_path, counting, breaks=2) as (node, _):
        node.ask(b"x")
        assert (await node.answer()).payload == b"1"
        node.break_off()
        node.ask(b"x", sequence=1)
        assert (await node.answer()).payload == b"2"
        assert node.calls == 4


async def test_a_node_that_does_not_admit_it_is_given_up(tmp_path: Path) -> None:
    async with attending(tmp_path, echo, breaks=100) as (node, task):
        with pytest.raises(NodeUnreachableError):
            async with asyncio.timeout(20):
                await task
        assert node.calls == REOPEN_MAX + 1


async def test_what_answers_is_made_again_when_it_could_not_be_made(tmp_path: Path) -> None:
    attempts = 0

    def make(_admitted: learning_pb2.Admitted) -> Answer:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            raise WeftmeshError("the memory is damaged", reason="DATA_CORRUPTION")
        return echo

    node = ScriptedNode()
    server = grpc.aio.server()
    learning_pb2_grpc.add_LearningServiceServicer_to_server(node, server)
    server.add_insecure_port(f"unix:{tmp_path}/api.sock")
    await server.start()
    async with connect(f"{tmp_path}/api.sock") as client:
        task = asyncio.create_task(Session(client, make, IDLE_S).run())
        node.ask(b"x")
        assert (await node.answer()).refused == "DATA_CORRUPTION: the memory is damaged"
        node.ask(b"x")
        assert (await node.answer()).payload == b"effort: x"
        node.dismiss()
        assert await task is Ending.DISMISSED
    await server.stop(None)
