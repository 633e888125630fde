"""A learner that attends over gRPC and answers as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from weftmesh.learning.v1 import learning_pb2

Answer = Callable[[learning_pb2.LearnerQuestion], learning_pb2.LearnerAnswer | None]


def echo(question: learning_pb2.LearnerQuestion) -> learning_pb2.LearnerAnswer:
    return learning_pb2.LearnerAnswer(sequence=question.sequence, payload=b"echo " + question.payload)


def refuse(question: learning_pb2.LearnerQuestion) -> learning_pb2.LearnerAnswer:
    return learning_pb2.LearnerAnswer(sequence=question.sequence, refused="the model is too large for this node")


def silent(_question: learning_pb2.LearnerQuestion) -> None:
    return None


class EchoLearner:
    """Attends through a stub of LearningService until it is dismissed or stopped."""

    def __init__(self, stub: Any, answer: Answer = echo) -> None:
        self._answer = answer
        self._messages: asyncio.Queue[learning_pb2.LearnerMessage | None] = asyncio.Queue()
        self._messages.put_nowait(learning_pb2.LearnerMessage(ready=learning_pb2.LearnerReady(jobs=["effort"])))
        self._call = stub.Attend(self._outgoing())
        self.admitted: asyncio.Future[learning_pb2.Admitted] = asyncio.get_running_loop().create_future()
        self.questions: list[learning_pb2.LearnerQuestion] = []
        self.dismissed = ""

    async def _outgoing(self) -> AsyncIterator[learning_pb2.LearnerMessage]:
        while (message := await self._messages.get()) is not None:
            yield message

    async def run(self) -> None:
        try:
            async for message in self._call:
                match message.WhichOneof("kind"):
                    case "admitted":
                        self.admitted.set_result(message.admitted)
                    case "dismissed":
                        self.dismissed = message.dismissed.why
                    case _:
                        self._take(message.question)
        except Exception as error:
            if self.admitted.done():
                raise
            self.admitted.set_exception(error)

    def _take(self, question: learning_pb2.LearnerQuestion) -> None:
        self.questions.append(question)
        answer = self._answer(question)
        if answer is not None:
            self._messages.put_nowait(learning_pb2.LearnerMessage(answer=answer))

    def send(self, message: learning_pb2.LearnerMessage) -> None:
        self._messages.put_nowait(message)

    def hang_up(self) -> None:
        self._call.cancel()


@asynccontextmanager
async def attending(stub: Any, answer: Answer = echo) -> AsyncIterator[EchoLearner]:
    """A learner that was admitted."""
    learner = EchoLearner(stub, answer)
    task = asyncio.create_task(learner.run())
    try:
        await asyncio.wait_for(learner.admitted, 10)
        yield learner
    finally:
        learner.hang_up()
        await asyncio.gather(task, return_exceptions=True)
