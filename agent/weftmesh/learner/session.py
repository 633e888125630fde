"""Attends on the node: takes its questions, has one answered at a time on a worker thread, and stays responsive."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from enum import StrEnum
from typing import Final

import structlog

from weftmesh.client import Client
from weftmesh.client.errors import is_retryable
from weftmesh.client.retry import Backoff
from weftmesh.core.errors import WeftmeshError
from weftmesh.learner.config import QUESTIONS_MAX, REOPEN_MAX
from weftmesh.learner.faults import fault, without_paths
from weftmesh.learner.metrics import ANSWERED, FAILED, LATE, REFUSED, new_outcomes
from weftmesh.learning.v1 import learning_pb2

Answer = Callable[[str, int, bytes], bytes]
"""The answer to a question, by its job, the term of who asks, and its payload; called on the worker thread."""
MakeAnswer = Callable[[learning_pb2.Admitted], Answer]
"""Called on the worker thread for the first question, and for the next one if it raises: it may load much."""

NOT_IN_TIME: Final = "no answer in time"

log = structlog.get_logger("weftmesh.learner")


class Ending(StrEnum):
    """Why a session is over."""

    DISMISSED = "dismissed"
    IDLE = "idle"


class Session:
    """One learner's time at its node.

    Args:
        client: of the node.
        make_answer: see MakeAnswer.
        jobs: that this learner can take part in; empty for any.
        idle_s: without a question for so long, the session ends.
        outcomes: counts what came of questions.
    """

    def __init__(
        self,
        client: Client,
        make_answer: MakeAnswer,
        idle_s: float,
        jobs: tuple[str, ...] = (),
        outcomes: Counter[str] | None = None,
    ) -> None:
        self._client = client
        self._make_answer = make_answer
        self._idle_s = idle_s
        self._jobs = jobs
        self._outcomes = new_outcomes() if outcomes is None else outcomes
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="learner")
        self._answer: Answer | None = None
        self._admitted = learning_pb2.Admitted()
        self._attended = False
        self._active_s = 0.0
        self._answering: set[asyncio.Task[None]] = set()

    async def run(self) -> Ending:
        """Attend until dismissed or idle; a call that breaks is made again REOPEN_MAX times in a row.

        Raises:
            WeftmeshError: another learner attends, or the node is gone.
        """
        backoff, failures = Backoff(), 0
        try:
            while True:
                try:
                    return await self._attend()
                except WeftmeshError as error:
                    if self._attended:
                        backoff, failures = Backoff(), 0
                    failures += 1
                    if not is_retryable(error) or failures > REOPEN_MAX:
                        raise
                    log.info("the call to the node broke", why=str(error), attempt=failures)
                    await asyncio.sleep(backoff.next_pause_s())
        finally:
            self._worker.shutdown(wait=False, cancel_futures=True)

    async def _attend(self) -> Ending:
        """One call."""
        self._attended = False
        self._touch()
        outgoing: asyncio.Queue[learning_pb2.LearnerMessage] = asyncio.Queue()
        reader = asyncio.get_running_loop().create_task(self._read(outgoing))
        try:
            while not reader.done():
                left_s = self._active_s + self._idle_s - asyncio.get_running_loop().time()
                if left_s <= 0 and not self._answering:
                    return Ending.IDLE
                await asyncio.wait({reader}, timeout=max(left_s, 1.0))
            return reader.result()
        finally:
            for task in (reader, *self._answering):
                task.cancel()
            await asyncio.gather(reader, *self._answering, return_exceptions=True)

    async def _read(self, outgoing: asyncio.Queue[learning_pb2.LearnerMessage]) -> Ending:
        newest = 0
        async with aclosing(self._client.learning.attend(_said(self._jobs, outgoing))) as messages:
            async for message in messages:
                self._touch()
                match message.WhichOneof("kind"):
                    case "admitted":
                        self._admitted, self._attended = message.admitted, True
                        log.info("attending", node=message.admitted.node, term=message.admitted.term)
                    case "question" if message.question.sequence > newest:
                        newest = message.question.sequence
                        self._take(message.question, outgoing)
                    case "question":
                        log.warning("a question came twice", sequence=message.question.sequence)
                    case "dismissed":
                        log.info("dismissed", why=message.dismissed.why)
                        break
                    case _:
                        log.warning("the node said something that this release does not know")
        return Ending.DISMISSED

    def _take(
        self, question: learning_pb2.LearnerQuestion, outgoing: asyncio.Queue[learning_pb2.LearnerMessage]
    ) -> None:
        task = asyncio.get_running_loop().create_task(self._reply(question, outgoing))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _reply(
        self, question: learning_pb2.LearnerQuestion, outgoing: asyncio.Queue[learning_pb2.LearnerMessage]
    ) -> None:
        answer = learning_pb2.LearnerAnswer(sequence=question.sequence)
        try:
            answer.payload = await self._answered(question)
            result = ANSWERED
        except TimeoutError:
            answer.refused, result = NOT_IN_TIME, LATE
        except WeftmeshError as error:
            log.warning("a question is refused", why=str(error), reason=error.reason)
            answer.refused, result = without_paths(f"{error.reason}: {error}"), REFUSED
        except Exception as error:  # noqa: BLE001, whatever it is: told by its name, since its text may quote a task
            log.error("a question could not be answered", fault=fault(error))  # noqa: TRY400, likewise
            answer.refused, result = f"the learner failed: {type(error).__name__}", FAILED
        self._outcomes[result] += 1
        self._touch()
        outgoing.put_nowait(learning_pb2.LearnerMessage(answer=answer))

    async def _answered(self, question: learning_pb2.LearnerQuestion) -> bytes:
        """The answer, unless the time is up; then the work goes on, since it cannot be stopped, and comes to nothing.

        Raises:
            TimeoutError: it is.
        """
        if len(self._answering) > QUESTIONS_MAX:
            raise WeftmeshError(f"{QUESTIONS_MAX} questions wait; ask one at a time", reason="OVERLOADED")
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(question.timeout_ms / 1_000):
            return await loop.run_in_executor(self._worker, self._work, question)

    def _work(self, question: learning_pb2.LearnerQuestion) -> bytes:
        if self._answer is None:
            self._answer = self._make_answer(self._admitted)
        return self._answer(question.job, question.coordinator.term, question.payload)

    def _touch(self) -> None:
        self._active_s = asyncio.get_running_loop().time()


async def _said(
    jobs: tuple[str, ...], outgoing: asyncio.Queue[learning_pb2.LearnerMessage]
) -> AsyncIterator[learning_pb2.LearnerMessage]:
    yield learning_pb2.LearnerMessage(ready=learning_pb2.LearnerReady(jobs=jobs))
    while True:
        yield await outgoing.get()
