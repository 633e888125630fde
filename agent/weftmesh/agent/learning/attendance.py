"""The one learner of this node: admitted, asked, and dismissed when nobody has asked for a while."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Final

import structlog

from weftmesh.agent.learning.learner_socket import LearnerStarter
from weftmesh.agent.learning.questions import Questions
from weftmesh.core.errors import InvalidInputError, OverloadedError, PreconditionError
from weftmesh.learning.v1 import learning_pb2

QUIET_S: Final = 60.0
"""Without a question for so long, the learner is dismissed, and its process ends."""
READY_S: Final = 5.0
"""For the first message of a learner that calls."""
START_S: Final = 20.0
"""For a learner to attend once it was started: it loads its libraries first."""
WAITING_MAX: Final = 16
"""Questions under way or waiting for the learner to start."""
LEARNER_ATTENDS: Final = "LEARNER_ATTENDS"
LEARNER_ABSENT: Final = "LEARNER_ABSENT"

log = structlog.get_logger("weftmesh.learning")


class Attendance:
    """Brings questions to this node's learner, which is started for the first one.

    Args:
        welcome: what an admitted learner is told.
        starter: starts a learner.
        quiet_s: see QUIET_S.
        start_s: see START_S.
    """

    def __init__(
        self,
        welcome: Callable[[], learning_pb2.Admitted],
        starter: LearnerStarter,
        quiet_s: float = QUIET_S,
        start_s: float = START_S,
    ) -> None:
        self._welcome = welcome
        self._starter = starter
        self._quiet_s = quiet_s
        self._start_s = start_s
        self._questions: Questions | None = None
        self._admitted = asyncio.Event()
        self._vacant = asyncio.Event()
        self._vacant.set()
        self._summoning: asyncio.Task[None] | None = None
        self._waiting = 0

    @property
    def attended(self) -> bool:
        """Whether a learner is there."""
        return self._questions is not None

    async def ask(self, request: learning_pb2.ExchangeRequest, timeout_s: float) -> bytes:
        """The learner's answer to a question.

        Args:
            request: the question, whose job this node takes part in.
            timeout_s: for the answer, once the learner is there.

        Raises:
            OverloadedError: too many questions wait.
            PreconditionError: there is no learner, it did not come in time, or it refused (LEARNER_REFUSED).
            NodeUnreachableError: the learner went away, or did not answer in time.
        """
        if self._waiting >= WAITING_MAX:
            raise OverloadedError(f"{WAITING_MAX} questions wait for the learner of this node; ask one at a time")
        self._waiting += 1
        try:
            return await (self._open() or await self._summon()).ask(request, timeout_s)
        finally:
            self._waiting -= 1

    async def attend(
        self, messages: AsyncIterator[learning_pb2.LearnerMessage]
    ) -> AsyncIterator[learning_pb2.AgentMessage]:
        """Serve one learner until it goes, or is dismissed.

        Raises:
            PreconditionError: another one attends.
            InvalidInputError: what it sent makes no sense.
        """
        await _ready(messages)
        if self._questions is not None:
            raise PreconditionError(
                "another learner attends on this node; a node has one at a time, so end this one",
                reason=LEARNER_ATTENDS,
            )
        questions = self._questions = Questions(self._quiet_s)
        self._vacant.clear()
        self._admitted.set()
        log.info("the learner attends")
        reader = asyncio.get_running_loop().create_task(questions.read(messages))
        try:
            yield learning_pb2.AgentMessage(admitted=self._welcome())
            async for question in questions.outgoing():
                yield question
            if reader.done():
                reader.result()
        finally:
            self._questions = None
            self._admitted.clear()
            self._vacant.set()
            reader.cancel()
            with suppress(asyncio.CancelledError, Exception):  # it ended the call, or nobody is left to tell
                await reader
            questions.close()
            log.info("the learner is gone")

    def _open(self) -> Questions | None:
        """The questions of a learner that is there and was not dismissed."""
        return None if self._questions is None or self._questions.closed else self._questions

    async def _summon(self) -> Questions:
        """Start a learner, once for all who wait for it: they share its coming, and its failure to come."""
        if self._summoning is None or self._summoning.done():
            self._summoning = asyncio.get_running_loop().create_task(self._start())
            self._summoning.add_done_callback(_take_note)
        await asyncio.shield(self._summoning)  # others wait for it when this one gives up
        questions = self._open()
        if questions is None:
            raise PreconditionError("the learner of this node came and went at once; try again", reason=LEARNER_ABSENT)
        return questions

    async def _start(self) -> None:
        """Return when a learner attends that was started now; one that was dismissed goes first."""
        try:
            async with asyncio.timeout(self._start_s):
                await self._vacant.wait()
                async with self._starter.starting():
                    await self._admitted.wait()
        except TimeoutError:
            raise PreconditionError(
                f"the learner of this node was started and did not come in {self._start_s:g} s; see its log",
                reason=LEARNER_ABSENT,
            ) from None


def _take_note(summoning: asyncio.Task[None]) -> None:
    """Read how it ended: nobody may be left to do so, at which asyncio would complain."""
    if not summoning.cancelled():
        summoning.exception()


async def _ready(messages: AsyncIterator[learning_pb2.LearnerMessage]) -> learning_pb2.LearnerReady:
    """The learner's first message."""
    try:
        async with asyncio.timeout(READY_S):
            first = await anext(messages)
    except (TimeoutError, StopAsyncIteration):
        raise InvalidInputError(f"a learner says that it is ready within {READY_S:g} s of its call") from None
    if not first.HasField("ready"):
        raise InvalidInputError("the first message of a learner is LearnerReady")
    return first.ready
