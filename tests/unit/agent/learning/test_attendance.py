"""One learner at a time: started when it is needed, asked in order, dismissed when nobody asks any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.unit.agent.learning.bench import question

from weftmesh.agent.learning.attendance import WAITING_MAX, Attendance
from weftmesh.agent.learning.learner_socket import LearnerSocket
from weftmesh.agent.learning.questions import UNREAD_MAX
from weftmesh.core.errors import (
    InvalidInputError,
    NodeUnreachableError,
    OverloadedError,
    PreconditionError,
    WeftmeshError,
)
from weftmesh.learning.v1 import learning_pb2

READY = learning_pb2.LearnerMessage(ready=learning_pb2.LearnerReady(jobs=["effort"]))
ANSWER_S = 5.0


class Learner:
    """The other end of an Attend call, without the call."""

    def __init__(self, attendance: Attendance) -> None:
        self.sent: asyncio.Queue[learning_pb2.LearnerMessage | None] = asyncio.Queue()
        self.sent.put_nowait(READY)
        self._messages = attendance.attend(self._sending())

    async def _sending(self) -> AsyncIterator[learning_pb2.LearnerMessage]:
        while (message := await self.sent.get()) is not None:
            yield message

    async def next(self) -> learning_pb2.AgentMessage:
        return await asyncio.wait_for(anext(self._messages), ANSWER_S)

    async def question(self) -> learning_pb2.LearnerQuestion:
        message = await self.next()
        assert message.HasField("question"), message
        return message.question

    def answer(self, sequence: int, payload: bytes) -> None:
        answer = learning_pb2.LearnerAnswer(sequence=sequence, payload=payload)
        self.sent.put_nowait(learning_pb2.LearnerMessage(answer=answer))

    async def leave(self) -> None:
        await self._messages.aclose()  # type: ignore[attr-defined]  # it is a generator


class CountingStarter:
    """Implements `LearnerStarter`; starts what it is told to."""

    def __init__(self) -> None:
        self.started = 0
        self.start: Any = lambda: None

    @asynccontextmanager
    async def starting(self) -> AsyncIterator[None]:
        self.started += 1
        self.start()
        yield


def attendance_of(starter: Any, quiet_s: float = 60.0, start_s: float = 5.0) -> Attendance:
    return Attendance(lambda: learning_pb2.Admitted(node="n1", term=3), starter, quiet_s, start_s)


async def admitted(attendance: Attendance) -> Learner:
    learner = Learner(attendance)
    assert (await learner.next()).admitted.term == 3
    return learner


def asking(attendance: Attendance, payload: bytes = b"q", timeout_s: float = ANSWER_S) -> asyncio.Task[bytes]:
    return asyncio.create_task(attendance.ask(question("n1", payload), timeout_s))


async def reason_of(task: asyncio.Task[bytes], kind: type[WeftmeshError]) -> str:
    with pytest.raises(kind) as error:
        await task
    return error.value.reason


async def test_answers_find_their_questions_whatever_their_order() -> None:
    attendance = attendance_of(CountingStarter())
    learner = await admitted(attendance)
    tasks = [asking(attendance, payload) for payload in (b"one", b"two")]
    first, second = await learner.question(), await learner.question()
    assert (first.payload, second.payload) == (b"one", b"two")
    learner.answer(second.sequence, b"2")
    learner.answer(first.sequence, b"1")
    learner.answer(77, b"nobody asked")
    waiting = asyncio.create_task(learner.next())
    assert await asyncio.gather(*tasks) == [b"1", b"2"]
    waiting.cancel()


async def test_a_learner_is_started_once_for_all_who_wait() -> None:
    starter = CountingStarter()
    attendance = attendance_of(starter)
    tasks = [asking(attendance, payload) for payload in (b"one", b"two", b"three")]
    await asyncio.sleep(0.01)
    learner = await admitted(attendance)
    for _ in tasks:
        asked = await learner.question()
        learner.answer(asked.sequence, asked.payload.upper())
    waiting = asyncio.create_task(learner.next())
    assert await asyncio.gather(*tasks) == [b"ONE", b"TWO", b"THREE"]
    assert starter.started == 1
    waiting.cancel()


async def test_a_learner_that_does_not_come_is_not_waited_for_for_ever() -> None:
    attendance = attendance_of(CountingStarter(), start_s=0.05)
    assert await reason_of(asking(attendance), PreconditionError) == "LEARNER_ABSENT"


async def test_all_who_wait_for_a_learner_share_its_failure_to_come() -> None:
    starter = CountingStarter()
    attendance = attendance_of(starter, start_s=0.2)
    tasks = [asking(attendance, bytes([number])) for number in range(WAITING_MAX)]
    assert {await reason_of(task, PreconditionError) for task in tasks} == {"LEARNER_ABSENT"}
    assert starter.started == 1
    assert await reason_of(asking(attendance), PreconditionError) == "LEARNER_ABSENT"
    assert starter.started == 2, "who asks later is not told of an old failure"


async def test_one_who_gives_up_leaves_the_learner_to_those_who_wait_with_it() -> None:
    starter = CountingStarter()
    attendance = attendance_of(starter)
    impatient, patient = asking(attendance, b"one"), asking(attendance, b"two")
    await asyncio.sleep(0.01)
    impatient.cancel()
    learner = await admitted(attendance)
    asked = await learner.question()
    learner.answer(asked.sequence, asked.payload.upper())
    waiting = asyncio.create_task(learner.next())
    assert await patient == b"TWO"
    assert starter.started == 1
    waiting.cancel()


async def test_a_quiet_learner_is_dismissed_and_the_next_question_starts_another() -> None:
    starter = CountingStarter()
    attendance = attendance_of(starter, quiet_s=0.05)
    learner = await admitted(attendance)
    assert "nobody asked" in (await learner.next()).dismissed.why

    task = asking(attendance)
    await asyncio.sleep(0.01)
    assert starter.started == 0, "one learner at a time: the first has not hung up"
    with pytest.raises(StopAsyncIteration):
        await learner.next()
    await asyncio.sleep(0.01)
    assert starter.started == 1
    another = await admitted(attendance)
    another.answer((await another.question()).sequence, b"a")
    waiting = asyncio.create_task(another.next())
    assert await task == b"a"
    waiting.cancel()


async def test_a_learner_at_work_is_not_dismissed() -> None:
    attendance = attendance_of(CountingStarter(), quiet_s=0.05)
    learner = await admitted(attendance)
    task = asking(attendance)
    asked = await learner.question()
    following = asyncio.create_task(learner.next())
    await asyncio.sleep(0.2)
    assert not following.done()
    learner.answer(asked.sequence, b"at last")
    assert await task == b"at last"
    assert (await following).HasField("dismissed")


async def test_who_asks_a_learner_that_goes_away_hears_of_it() -> None:
    attendance = attendance_of(CountingStarter())
    learner = await admitted(attendance)
    task = asking(attendance)
    await learner.question()
    await learner.leave()
    assert await reason_of(task, NodeUnreachableError) == "LEARNER_GONE"
    assert not attendance.attended


async def test_a_learner_that_hangs_up_ends_its_call() -> None:
    attendance = attendance_of(CountingStarter())
    learner = await admitted(attendance)
    learner.sent.put_nowait(None)
    with pytest.raises(StopAsyncIteration):
        await learner.next()
    assert not attendance.attended


async def test_a_silent_learner_costs_the_time_that_it_was_given() -> None:
    attendance = attendance_of(CountingStarter())
    learner = await admitted(attendance)
    task = asking(attendance, timeout_s=0.05)
    asked = await learner.question()
    assert await reason_of(task, NodeUnreachableError) == "LEARNER_SILENT"
    learner.answer(asked.sequence, b"too late")
    again = asking(attendance, b"again")
    late = await learner.question()
    learner.answer(late.sequence, b"in time")
    waiting = asyncio.create_task(learner.next())
    assert await again == b"in time"
    waiting.cancel()


async def test_a_second_learner_is_refused_and_the_first_goes_on() -> None:
    attendance = attendance_of(CountingStarter())
    learner = await admitted(attendance)
    with pytest.raises(PreconditionError, match="another learner attends"):
        await Learner(attendance).next()
    task = asking(attendance)
    learner.answer((await learner.question()).sequence, b"still here")
    waiting = asyncio.create_task(learner.next())
    assert await task == b"still here"
    waiting.cancel()


async def test_questions_are_bounded() -> None:
    attendance = attendance_of(CountingStarter())
    tasks = [asking(attendance) for _ in range(WAITING_MAX)]
    await asyncio.sleep(0.01)
    assert await reason_of(asking(attendance), OverloadedError) == "OVERLOADED"
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_learner_that_does_not_read_gathers_no_questions() -> None:
    attendance = attendance_of(CountingStarter())
    learner = await admitted(attendance)
    for _ in range(UNREAD_MAX):
        assert await reason_of(asking(attendance, timeout_s=0.001), NodeUnreachableError) == "LEARNER_SILENT"
    assert await reason_of(asking(attendance), OverloadedError) == "OVERLOADED"
    await learner.leave()


@pytest.mark.parametrize(
    "messages", [[], [learning_pb2.LearnerMessage()], [READY, READY]], ids=["nothing", "no ready", "ready twice"]
)
async def test_a_learner_that_makes_no_sense_is_refused(messages: list[learning_pb2.LearnerMessage]) -> None:
    attendance = attendance_of(CountingStarter())

    async def sending() -> AsyncIterator[learning_pb2.LearnerMessage]:
        for message in messages:
            yield message

    with pytest.raises(InvalidInputError, match=r"LearnerReady|ready"):
        async for _ in attendance.attend(sending()):
            pass
    assert not attendance.attended


async def test_the_socket_is_connected_to_until_the_learner_attends(tmp_path: Path) -> None:
    path = tmp_path / "learner.sock"
    hung_up = asyncio.Event()

    async def activate(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        learners.append(await admitted(attendance))
        assert await reader.read() == b"", "the connection carries nothing"
        writer.close()
        hung_up.set()

    learners: list[Learner] = []
    attendance = attendance_of(LearnerSocket(path))
    assert await reason_of(asking(attendance), PreconditionError) == "NO_LEARNER"
    async with await asyncio.start_unix_server(activate, path):
        task = asking(attendance)
        await asyncio.wait_for(hung_up.wait(), ANSWER_S)
        learners[0].answer((await learners[0].question()).sequence, b"awake")
        waiting = asyncio.create_task(learners[0].next())
        assert await task == b"awake"
        waiting.cancel()
    path.unlink(missing_ok=True)
    path.touch()
    assert await reason_of(asking(attendance_of(LearnerSocket(path))), PreconditionError) == "NO_LEARNER"
