"""The Flower client app of a node: reads a message, lets the trainer work, and answers; bytes in, bytes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol

import structlog

from weftmesh.core.errors import InvalidInputError, WeftmeshError
from weftmesh.learner.faults import fault
from weftmesh.runtime import flower
from weftmesh.runtime.flower import ClientApp, Context, Message, RecordDict
from weftmesh.runtime.training_messages import (
    ConfigValue,
    LocalEvaluation,
    LocalUpdate,
    evaluation_content,
    read_instruction,
    update_content,
)
from weftmesh.runtime.wire.envelopes import FlowerMessage, seal, unseal

REFUSED: Final = 1
FAILED: Final = 2
"""Codes of an error reply: the node would not, or it tried and could not."""

log = structlog.get_logger("weftmesh.learner")


class Trainer(Protocol):
    """What knows one kind of model and has the node's own tasks."""

    def train(self, model: bytes, config: Mapping[str, ConfigValue]) -> LocalUpdate:
        """Learn from the node's tasks, starting at `model`.

        Raises:
            WeftmeshError: it will not, or cannot: the model is not one of its kind, too few tasks, not allowed.
        """

    def evaluate(self, model: bytes, config: Mapping[str, ConfigValue]) -> LocalEvaluation:
        """Measure `model` on tasks of the node that it was not trained on.

        Raises:
            WeftmeshError: it will not, or cannot.
        """


def client_app(trainer: Trainer) -> ClientApp:
    """A Flower ClientApp that trains and evaluates with `trainer`."""
    app = ClientApp()

    @app.train()
    def train(message: Message, _context: Context) -> Message:
        return _answer(message, lambda: update_content(trainer.train(*read_instruction(message))))

    @app.evaluate()
    def evaluate(message: Message, _context: Context) -> Message:
        return _answer(message, lambda: evaluation_content(trainer.evaluate(*read_instruction(message))))

    return app


def reply_to(app: ClientApp, message: Message) -> Message:
    """The answer to one message of the coordinator; an error reply when the app has none.

    Args:
        app: see `client_app`.
        message: of the coordinator.
    """
    try:
        return app(message, flower.new_context(message.metadata.dst_node_id))
    except ValueError as error:
        # Flower's word for a type of message that the app has no function for.
        log.warning("a learning message is refused", type=message.metadata.message_type, why=str(error))
        return flower.reply_error(REFUSED, "UNKNOWN_MESSAGE_TYPE", message)


def answer_message(app: ClientApp, payload: bytes) -> bytes:
    """As `reply_to`, in the form of weftmesh.runtime.flower.

    Raises:
        InvalidInputError: `payload` is not a message, so that there is nothing to reply to.
    """
    return flower.to_bytes(reply_to(app, flower.from_bytes(payload)))


def answer_plain(app: ClientApp, payload: bytes) -> bytes:
    """Answer an envelope with a Flower message in it, outside of secure aggregation: for comparisons and tests.

    Raises:
        InvalidInputError: there is no Flower message in it.
    """
    letter = unseal(payload)
    if not isinstance(letter, FlowerMessage):
        raise InvalidInputError(f"a plain learner does not answer {type(letter).__name__}")
    return seal(FlowerMessage(answer_message(app, letter.payload)))


def _answer(message: Message, work: Callable[[], RecordDict]) -> Message:
    """The reply that `work` makes. What went wrong is told by one word: an exception's text may quote a task."""
    try:
        return flower.reply(work(), message)
    except WeftmeshError as error:
        log.warning("no update", why=str(error), reason=error.reason)
        return flower.reply_error(REFUSED, error.reason, message)
    except Exception as error:  # noqa: BLE001, whatever a trainer raises, the coordinator is told that nothing comes
        log.error("training failed", fault=fault(error))  # noqa: TRY400, a traceback may quote a task
        return flower.reply_error(FAILED, type(error).__name__, message)
