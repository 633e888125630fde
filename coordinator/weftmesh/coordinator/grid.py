"""Flower's Grid over the mesh: calls of a worker thread become exchanges on the loop, and failures missing replies."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import structlog

from weftmesh.coordinator.courier import Answer, Courier, NoAnswerError, letter_of
from weftmesh.coordinator.node_numbers import NodeNumbers
from weftmesh.core.errors import InvalidInputError
from weftmesh.runtime import flower
from weftmesh.runtime.flower import Grid, Message, RecordDict, Run
from weftmesh.runtime.wire.envelopes import FlowerMessage, Letter

GRACE_S: Final = 1.0
"""After its deadline, for an exchange to end by itself."""

log = structlog.get_logger("weftmesh.coordinator.grid")


@dataclass(frozen=True, slots=True)
class _Pending:
    node: str
    request: Message
    answer: Answer


class MeshGrid(Grid):
    """Sends Flower's messages to the learners of a fixed set of nodes.

    Used on a worker thread: its methods block, as Flower's strategies expect. What fails on the way, or comes back
    unusable, is a missing reply and is told in `missing`.

    Args:
        courier: the way to the learners.
        nodes: who takes part; the set stays for the life of the grid, since Flower waits for ever for absent nodes.

    Attributes:
        missing: why there is no reply of a node, since the last push.

    Raises:
        InvalidInputError: two nodes cannot be told apart, see NodeNumbers.
    """

    def __init__(self, courier: Courier, nodes: Iterable[str]) -> None:
        self._courier = courier
        self._numbers = NodeNumbers(nodes)
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
        ttl: float | None = None,  # noqa: ARG002, the courier bounds the time
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
        return self._push(messages, self._courier.limits.timeout_s)

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
            timeout: seconds for all of them; the courier's own limit holds when it is shorter or this is None.

        Returns:
            The replies that came in time, in the order of `messages`.

        Raises:
            LeadershipLostError: nothing was sent.
            InvalidInputError: a message is too large or for a node that does not take part; nothing was sent.
        """
        limit_s = self._courier.limits.timeout_s
        timeout_s = limit_s if timeout is None else min(timeout, limit_s)
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
        self._courier.require_leading()
        prepared = [self._prepare(message) for message in messages]
        self.missing.clear()
        for message_id, node, request, payload in prepared:
            self._pending[message_id] = _Pending(node, request, self._courier.ask(node, payload, timeout_s))
        return [message_id for message_id, *_ in prepared]

    def _prepare(self, message: Message) -> tuple[str, str, Message, bytes]:
        node = self._numbers.name(message.metadata.dst_node_id)
        message_id = self._name(message)
        return message_id, node, message, self._courier.seal(FlowerMessage(flower.to_bytes(message)))

    def _name(self, message: Message) -> str:
        self._sent += 1
        message_id = str(self._sent)
        flower.set_message_id(message, message_id)
        return message_id

    def _result(self, pending: _Pending) -> Message | None:
        try:
            return _read_reply(letter_of(pending.answer), pending.request)
        except (NoAnswerError, InvalidInputError) as error:
            self._note_missing(pending.node, str(error))
            return None

    def _note_missing(self, node: str, why: str) -> None:
        self.missing[node] = why
        log.info("no reply of a learner", node=node, why=why)


def _read_reply(letter: Letter, request: Message) -> Message:
    """The reply to `request`.

    Raises:
        NoAnswerError: it is not a message of Flower.
        InvalidInputError: it is malformed, or of another node or to another message.
    """
    if not isinstance(letter, FlowerMessage):
        raise NoAnswerError(f"it answered with {type(letter).__name__}")
    message = flower.from_bytes(letter.payload)
    sent, got = request.metadata, message.metadata
    if (got.reply_to_message_id, got.src_node_id, got.message_type, got.group_id) != (
        sent.message_id,
        sent.dst_node_id,
        sent.message_type,
        sent.group_id,
    ):
        raise InvalidInputError("it answers another message", reason="LEARNING_MESSAGE_MALFORMED")
    return message
