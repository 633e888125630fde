"""The questions to one learner that attends, and its answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from weftmesh.core.errors import InvalidInputError, NodeUnreachableError, OverloadedError, PreconditionError
from weftmesh.learning.v1 import learning_pb2

UNREAD_MAX: Final = 16
"""Questions that a learner has not read, also those whose asker has given up; each may have some MiB."""
LEARNER_GONE: Final = "LEARNER_GONE"
LEARNER_SILENT: Final = "LEARNER_SILENT"
LEARNER_REFUSED: Final = "LEARNER_REFUSED"
REFUSAL_CHARACTERS_MAX: Final = 300
"""Of why a learner refuses; more would be an answer in disguise."""


class Questions:
    """One learner's questions, in order.

    Args:
        quiet_s: after so long without a question nothing more will come.
    """

    def __init__(self, quiet_s: float) -> None:
        self._quiet_s = quiet_s
        self._sequence = 0
        self._answers: dict[int, asyncio.Future[bytes]] = {}
        self._outgoing: asyncio.Queue[learning_pb2.LearnerQuestion | None] = asyncio.Queue()
        """None: the learner has sent its last message."""
        self.closed = False
        """Nothing more will be asked of this learner."""

    async def ask(self, request: learning_pb2.ExchangeRequest, timeout_s: float) -> bytes:
        """The answer to a question.

        Raises:
            PreconditionError: the learner refused.
            NodeUnreachableError: it went away, or did not answer in time.
            OverloadedError: it does not read.
        """
        if self.closed:
            raise _gone()
        if self._outgoing.qsize() >= UNREAD_MAX:
            raise OverloadedError(f"the learner of this node has {UNREAD_MAX} questions to read; go on without it")
        self._sequence += 1
        sequence = self._sequence
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._answers[sequence] = answer
        self._outgoing.put_nowait(
            learning_pb2.LearnerQuestion(
                sequence=sequence,
                job=request.job,
                round_id=request.round_id,
                coordinator=request.coordinator,
                payload=request.payload,
                timeout_ms=round(timeout_s * 1000),
            )
        )
        try:
            async with asyncio.timeout(timeout_s):
                return await answer
        except TimeoutError:
            raise NodeUnreachableError(
                f"the learner of this node did not answer in {timeout_s:g} s; go on without it", reason=LEARNER_SILENT
            ) from None
        finally:
            del self._answers[sequence]

    async def outgoing(self) -> AsyncIterator[learning_pb2.AgentMessage]:
        """What the learner is sent; ends with its dismissal, or when it has hung up."""
        while True:
            try:
                async with asyncio.timeout(self._quiet_s):
                    question = await self._outgoing.get()
            except TimeoutError:
                if self._answers:
                    continue  # it is at work
                self.closed = True
                why = f"nobody asked for {self._quiet_s:g} s"
                yield learning_pb2.AgentMessage(dismissed=learning_pb2.Dismissed(why=why))
                return
            if question is None:
                return
            if question.sequence in self._answers:  # else whoever asked has given up
                yield learning_pb2.AgentMessage(question=question)

    async def read(self, messages: AsyncIterator[learning_pb2.LearnerMessage]) -> None:
        """Take in answers until the learner hangs up.

        Raises:
            InvalidInputError: a message that is no answer.
        """
        try:
            async for message in messages:
                if not message.HasField("answer"):
                    raise InvalidInputError("after LearnerReady a learner sends answers and nothing else")
                self._take(message.answer)
        finally:
            self.closed = True
            self._outgoing.put_nowait(None)

    def close(self) -> None:
        """Tell everybody who waits that no answer will come."""
        self.closed = True
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(_gone())

    def _take(self, answer: learning_pb2.LearnerAnswer) -> None:
        """An answer that nobody waits for any more is dropped."""
        waiting = self._answers.get(answer.sequence)
        if waiting is None or waiting.done():
            return
        match answer.WhichOneof("result"):
            case "payload":
                waiting.set_result(answer.payload)
            case _:
                why = answer.refused[:REFUSAL_CHARACTERS_MAX] or "it does not say why"
                waiting.set_exception(PreconditionError(why, reason=LEARNER_REFUSED))


def _gone() -> NodeUnreachableError:
    return NodeUnreachableError("the learner of this node went away; ask again to start another", reason=LEARNER_GONE)
