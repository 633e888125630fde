"""A learner's session over a real socket, with a node that says what a test wants it to."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from tests.fakes.attended_node import ScriptedNode, serving

from weftmesh.client import connect
from weftmesh.core.errors import DataCorruptionError, NodeUnreachableError, PreconditionError, WeftmeshError
from weftmesh.learner.config import QUESTIONS_MAX, REOPEN_MAX
from weftmesh.learner.faults import without_paths
from weftmesh.learner.session import NOT_IN_TIME, Answer, Ending, Session
from weftmesh.learning.v1 import learning_pb2

SECRET = "the customer's name is Ada"
IDLE_S = 20.0


@asynccontextmanager
async def attending(
    path: Path, answer: Answer, *, breaks: int = 0, idle_s: float = IDLE_S
) -> AsyncIterator[tuple[ScriptedNode, asyncio.Task[Ending]]]:
    """A node, and a session that answers its questions with `answer`."""
    node = ScriptedNode()
    node.breaks = breaks
    async with serving(path, node) as socket, connect(socket) as client:
        task = asyncio.create_task(Session(client, lambda _: answer, idle_s).run())
        try:
            yield node, task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def echo(job: str, _term: int, payload: bytes) -> bytes:
    return f"{job}: ".encode() + payload


def raising(error: Exception) -> Answer:
    def answer(_job: str, _term: int, _payload: bytes) -> bytes:
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
    begun, let_go = threading.Event(), threading.Event()

    def slow(_job: str, _term: int, payload: bytes) -> bytes:
        nonlocal at_work, most
        with lock:
            at_work += 1
            most = max(most, at_work)
        begun.set()
        assert let_go.wait(IDLE_S), "the loop stood while an answer was worked out"
        with lock:
            at_work -= 1
        return payload

    async with attending(tmp_path, slow) as (node, _):
        for _ in range(4):
            node.ask(b"x", timeout_s=60)
        await asyncio.to_thread(begun.wait, IDLE_S)
        await asyncio.sleep(0.1)  # for a second one that should not begin
        let_go.set()
        answers = [await node.answer() for _ in range(4)]
        assert [(one.sequence, one.refused) for one in answers] == [(number, "") for number in (1, 2, 3, 4)]
    assert most == 1


async def test_a_question_whose_time_is_up_is_refused_and_the_next_one_answered(tmp_path: Path) -> None:
    released = threading.Event()

    def slow(_job: str, _term: int, payload: bytes) -> bytes:
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


@pytest.mark.parametrize(
    "message",
    [
        "/var/lib/weftmesh/learner/memory is damaged: its checksum does not match",
        "[Errno 28] No space left on device: '/srv/a b/memory'",
        'the file "/srv/memory", see there',
        "no answer from unix:/run/weftmesh/api.sock in time",
    ],
)
async def test_a_refusal_quotes_no_path(tmp_path: Path, message: str) -> None:
    with capture_logs() as logs:
        async with attending(tmp_path, raising(DataCorruptionError(message))) as (node, _):
            node.ask(b"x")
            refused = (await node.answer()).refused
    assert refused.startswith("DATA_CORRUPTION: ")
    assert "/" not in refused
    assert message in [entry.get("why") for entry in logs], "the owner of the node reads it in full"


def test_what_only_looks_like_a_path_is_told_as_it_is() -> None:
    for message in ("2/3 of effort/training", "a sum/s over 5 vectors", "projects/FW/tasks"):
        assert without_paths(message) == message


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

    def held(_job: str, _term: int, payload: bytes) -> bytes:
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

    def counting(_job: str, _term: int, _payload: bytes) -> bytes:
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
    async with serving(tmp_path, node) as socket, connect(socket) as client:
        task = asyncio.create_task(Session(client, make, IDLE_S).run())
        node.ask(b"x")
        assert (await node.answer()).refused == "DATA_CORRUPTION: the memory is damaged"
        node.ask(b"x")
        assert (await node.answer()).payload == b"effort: x"
        node.dismiss()
        assert await task is Ending.DISMISSED
