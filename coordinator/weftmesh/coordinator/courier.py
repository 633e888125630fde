"""Questions to learners: asked from a worker thread, exchanged on the event loop; size, time and number are bounded."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Final, Protocol

from weftmesh.core.errors import InvalidInputError, PreconditionError, WeftmeshError
from weftmesh.runtime.rpc import MESSAGE_BYTES_MAX
from weftmesh.runtime.wire.envelopes import LearnerRefusal, Letter, seal, unseal

TIMEOUT_S: Final = 30.0
"""For one question and its answer, when the caller names no shorter time."""
READ_AT_ONCE_BYTES: Final = 16 * 1024
"""An answer up to this is read faster than a thread is asked to."""
WHY_CHARACTERS_MAX: Final = 300
"""Of why there is no answer: another node writes it, and it goes to logs."""


class LeadershipLostError(PreconditionError):
    """The node that this coordinator serves does not lead any more: what it sends would be stale."""

    reason = "LEADERSHIP_LOST"


class NoAnswerError(WeftmeshError):
    """A learner gave no usable answer; the message says why.

    Attributes:
        refusal: its reason, if it refused; else empty.
    """

    reason = "NO_ANSWER"

    def __init__(self, message: str, refusal: str = "") -> None:
        super().__init__(message)
        self.refusal = refusal


class Exchange(Protocol):
    """The way to the learners of other nodes."""

    async def deliver(self, node: str, payload: bytes, timeout_s: float) -> bytes:
        """Hand `payload` to the learner of `node` and return what it answers.

        Raises:
            WeftmeshError: the node was not reached or refused.
            OSError: the way to it is broken, or (TimeoutError) too slow.
        """


@dataclass(frozen=True, slots=True)
class CourierLimits:
    """Bounds of one courier.

    Attributes:
        timeout_s: for one question and its answer.
        size_bytes_max: of one envelope, either way.
        in_flight_max: questions under way at once; others wait, and their time runs.
    """

    timeout_s: float = TIMEOUT_S
    size_bytes_max: int = MESSAGE_BYTES_MAX
    in_flight_max: int = 64


Answer = concurrent.futures.Future[Letter]


class Courier:
    """Asks learners on behalf of one coordinator. Used on worker threads, never on the thread of `loop`.

    Args:
        loop: where `exchange` lives.
        exchange: the way to the learners.
        still_leading: thread-safe and quick.
        limits: size, time and how much at once.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        exchange: Exchange,
        still_leading: Callable[[], bool],
        limits: CourierLimits | None = None,
    ) -> None:
        self._loop = loop
        self._exchange = exchange
        self._still_leading = still_leading
        self.limits = limits or CourierLimits()
        self._room = asyncio.Semaphore(self.limits.in_flight_max)

    def require_leading(self) -> None:
        """Call this before questions go out.

        Raises:
            LeadershipLostError: another node leads, or none.
            RuntimeError: the caller is on the loop, which it would block.
        """
        self._require_worker_thread()
        if not self._still_leading():
            raise LeadershipLostError("this node does not lead any more: the next leader starts the round again")

    def seal(self, letter: Letter) -> bytes:
        """The bytes of a question.

        Raises:
            InvalidInputError: it is too large to send.
        """
        payload = seal(letter)
        if len(payload) > self.limits.size_bytes_max:
            raise InvalidInputError(
                f"a learning message of {len(payload)} bytes exceeds {self.limits.size_bytes_max}: "
                "train a smaller model",
                reason="LEARNING_MESSAGE_TOO_LARGE",
            )
        return payload

    def ask(self, node: str, payload: bytes, timeout_s: float) -> Answer:
        """Start to ask; read the answer with `letter_of`.

        Args:
            node: whose learner is asked.
            payload: see `seal`.
            timeout_s: from now to the answer.
        """
        asking = self._ask(node, payload, monotonic() + timeout_s)
        return asyncio.run_coroutine_threadsafe(asking, self._loop)

    async def _ask(self, node: str, payload: bytes, deadline_s: float) -> Letter:
        async with asyncio.timeout(deadline_s - monotonic()), self._room:
            answer = await self._exchange.deliver(node, payload, deadline_s - monotonic())
        if len(answer) <= READ_AT_ONCE_BYTES:
            return unseal(answer, size_bytes_max=self.limits.size_bytes_max)
        # A model's worth of bytes is read beside the loop, which has other work.
        return await asyncio.to_thread(unseal, answer, size_bytes_max=self.limits.size_bytes_max)

    def _require_worker_thread(self) -> None:
        try:
            here = asyncio.get_running_loop()
        except RuntimeError:
            return
        if here is self._loop:
            raise RuntimeError("a courier would block the loop that it needs: use asyncio.to_thread")


def letter_of(answer: Answer) -> Letter:
    """What a learner answered.

    Raises:
        NoAnswerError: it refused, was not reached, was too slow, or sent something unreadable.
    """
    try:
        letter = answer.result()
    except WeftmeshError as error:
        raise NoAnswerError(quotable(f"{error.reason}: {error}")) from error
    except TimeoutError as error:
        raise NoAnswerError("no answer in time") from error
    except OSError as error:
        raise NoAnswerError(f"the way to it is broken: {error}") from error
    except concurrent.futures.CancelledError as error:
        raise NoAnswerError("it was not waited for") from error
    if isinstance(letter, LearnerRefusal):
        raise NoAnswerError(quotable(f"{letter.reason}: {letter.message}"), quotable(letter.reason))
    return letter


def quotable(text: str, characters_max: int = WHY_CHARACTERS_MAX) -> str:
    """The beginning of another node's words, in one line without control characters."""
    line = "".join(one if one.isprintable() else "?" for one in text[: characters_max + 1])
    return line if len(line) <= characters_max else f"{line[: characters_max - 3]}..."
