"""Flower's Grid over the mesh: calls of a worker thread become exchanges on the loop, and failures missing replies."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import monotonic
from typing import Final, Protocol

import structlog

from weftmesh.coordinator.node_numbers import NodeNumbers
from weftmesh.core.errors import InvalidInputError, PreconditionError, WeftmeshError
from weftmesh.runtime import flower
from weftmesh.runtime.flower import Grid, Message, RecordDict, Run
from weftmesh.runtime.rpc import MESSAGE_BYTES_MAX

TIMEOUT_S: Final = 30.0
"""For one message and its reply, when the caller names no shorter time."""
GRACE_S: Final = 1.0
"""After its deadline, for a cancelled exchange to end."""

log = structlog.get_logger("weftmesh.coordinator.grid")


class LeadershipLostError(PreconditionError):
    """The node that this coordinator serves does not lead any more: what it sends would be stale."""

    reason = "LEADERSHIP_LOST"


class Exchange(Protocol):
    """The way to the learners of other nodes."""

    async def deliver(self, node: str, payload: bytes, timeout_s: float) -> bytes:
        """Hand `payload` to the learner of `node` and return what it answers.

        Raises:
            WeftmeshError: the node was not reached or refused.
            OSError: the way to it is broken, or (TimeoutError) too slow.
        """


@dataclass(frozen=True, slots=True)
class GridLimits:
    """Bounds of one grid.

    Attributes:
        timeout_s: for one message and its reply.
        size_bytes_max: of one message, either way.
        in_flight_max: messages under way at once; others wait, and their time runs.
    """

    timeout_s: float = TIMEOUT_S
    size_bytes_max: int = MESSAGE_BYTES_MAX
    in_flight_max: int = 64


@dataclass(frozen=True, slots=True)
class _Pending:
    node: str
    request: Message
    answer: concurrent.futures.Future[Message]


class MeshGrid(Grid):
    """Sends Flower's messages to the learners of a fixed set of nodes.

    Made on any thread, used on a worker thread, never on the thread of `loop`: its methods block, as Flower's
    strategies expect. What fails on the way, or comes back unusable, is a missing reply and is told in `missing`.

    Args:
        loop: where `exchange` lives; it runs on another thread.
        exchange: the way to the learners.
        nodes: who takes part; the set stays for the life of the grid, since Flower waits for ever for absent nodes.
        still_leading: asked before every push; thread-safe and quick.
        limits: size, time and how much at once.

    Attributes:
        missing: why there is no reply of a node, since the last push.

    Raises:
        InvalidInputError: two nodes cannot be told apart, see NodeNumbers.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        exchange: Exchange,
        nodes: Iterable[str],
        still_leading: Callable[[], bool],
        limits: GridLimits | None = None,
    ) -> None:
        self._loop = loop
        self._exchange = exchange
        self._numbers = NodeNumbers(nodes)
        self._still_leading = still_leading
        self._limits = limits or GridLimits()
        self._room = asyncio.Semaphore(self._limits.in_flight_max)
        self._run = flower.new_run()
        self._pending: dict[str, _Pending] = {}
        self._sent = 0
        self.missing: dict[str, str] = {}

    def set_run(self, run: Run) -> None:
        """Take over the run that Flower's callers see; nothing here depends on it."""
        self._run = run

    @property
    def run(self) -> Run:
        """The run that Flower's callers see."""
        return self._run

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,  # noqa: ARG002, the grid bounds the time
    ) -> Message:
        """A message from this coordinator."""
        return flower.instruct(content, message_type, dst_node_id, group_id)

    def get_node_ids(self) -> list[int]:
        """Numbers of the nodes that take part, ascending."""
        return self._numbers.numbers()

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Start to deliver messages.

        Returns:
            An id for each, to pull its reply with.

        Raises:
            LeadershipLostError: nothing was sent.
            InvalidInputError: a message is too large or for a node that does not take part; nothing was sent.
        """
        return self._push(messages, self._limits.timeout_s)

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """The replies that have come so far, each once, in the order of the ids."""
        ready = []
        for message_id in message_ids:
            pending = self._pending.get(message_id)
            if pending is not None and pending.answer.done():
                del self._pending[message_id]
                if (message := self._result(pending)) is not None:
                    ready.append(message)
        return ready

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        """Deliver messages and wait for their replies.

        Args:
            messages: what to send.
            timeout: seconds for all of them; the grid's own limit holds when it is shorter or this is None.

        Returns:
            The replies that came in time, in the order of `messages`.

        Raises:
            LeadershipLostError: nothing was sent.
            InvalidInputError: a message is too large or for a node that does not take part; nothing was sent.
        """
        timeout_s = min(timeout if timeout is not None else self._limits.timeout_s, self._limits.timeout_s)
        ids = self._push(messages, timeout_s)
        answers = [self._pending[one].answer for one in ids]
        concurrent.futures.wait(answers, timeout=timeout_s + GRACE_S)
        replies = self.pull_messages(ids)
        for message_id in ids:
            if (late := self._pending.pop(message_id, None)) is not None:
                late.answer.cancel()
                self._note_missing(late.node, "no answer in time")
        return replies

    def _push(self, messages: Iterable[Message], timeout_s: float) -> list[str]:
        self._require_worker_thread()
        if not self._still_leading():
            raise LeadershipLostError("this node does not lead any more: the next leader starts the round again")
        prepared = [self._prepare(message) for message in messages]
        self.missing.clear()
        deadline_s = monotonic() + timeout_s
        for message_id, node, request, payload in prepared:
            delivery = self._deliver(node, request, payload, deadline_s)
            answer = asyncio.run_coroutine_threadsafe(delivery, self._loop)
            self._pending[message_id] = _Pending(node, request, answer)
        return [message_id for message_id, *_ in prepared]

    def _prepare(self, message: Message) -> tuple[str, str, Message, bytes]:
        node = self._numbers.name(message.metadata.dst_node_id)
        self._sent += 1
        message_id = str(self._sent)
        flower.set_message_id(message, message_id)
        payload = flower.to_bytes(message)
        if len(payload) > self._limits.size_bytes_max:
            raise InvalidInputError(
                f"a learning message of {len(payload)} bytes exceeds {self._limits.size_bytes_max}: "
                "train a smaller model",
                reason="LEARNING_MESSAGE_TOO_LARGE",
            )
        return message_id, node, message, payload

    async def _deliver(self, node: str, request: Message, payload: bytes, deadline_s: float) -> Message:
        """The reply of `node`; runs on the loop."""
        async with asyncio.timeout(deadline_s - monotonic()), self._room:
            answer = await self._exchange.deliver(node, payload, deadline_s - monotonic())
        # A model's worth of bytes is read beside the loop, which has other work.
        return await asyncio.to_thread(self._read, request, answer)

    def _read(self, request: Message, payload: bytes) -> Message:
        message = flower.from_bytes(payload, size_bytes_max=self._limits.size_bytes_max)
        sent, got = request.metadata, message.metadata
        if (got.reply_to_message_id, got.src_node_id, got.message_type, got.group_id) != (
            sent.message_id,
            sent.dst_node_id,
            sent.message_type,
            sent.group_id,
        ):
            raise InvalidInputError("it answers another message", reason="LEARNING_MESSAGE_MALFORMED")
        return message

    def _result(self, pending: _Pending) -> Message | None:
        try:
            message = pending.answer.result()
        except WeftmeshError as error:
            self._note_missing(pending.node, f"{error.reason}: {error}")
        except TimeoutError:
            self._note_missing(pending.node, "no answer in time")
        except OSError as error:
            self._note_missing(pending.node, f"the way to it is broken: {error}")
        except concurrent.futures.CancelledError:
            self._note_missing(pending.node, "the exchange was cancelled")
        else:
            return message
        return None

    def _note_missing(self, node: str, why: str) -> None:
        self.missing[node] = why
        log.info("no reply of a learner", node=node, why=why)

    def _require_worker_thread(self) -> None:
        try:
            here = asyncio.get_running_loop()
        except RuntimeError:
            return
        if here is self._loop:
            name = threading.current_thread().name
            raise RuntimeError(f"the grid would block the loop that it needs (thread {name}): use asyncio.to_thread")
