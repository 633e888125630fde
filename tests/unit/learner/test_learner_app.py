from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pytest
from structlog.testing import capture_logs

from weftmesh.core.errors import InvalidInputError, PreconditionError
from weftmesh.learner.app import FAILED, REFUSED, answer_message, client_app
from weftmesh.runtime import flower
from weftmesh.runtime.flower import Message, MessageType, RecordDict
from weftmesh.runtime.training_messages import (
    ConfigValue,
    LocalEvaluation,
    LocalUpdate,
    instruction,
    read_evaluation,
    read_update,
)

SECRET = "the customer's name is Ada"


@dataclass
class FailingTrainer:
    error: Exception

    def train(self, model: bytes, config: Mapping[str, ConfigValue]) -> LocalUpdate:
        raise self.error

    def evaluate(self, model: bytes, config: Mapping[str, ConfigValue]) -> LocalEvaluation:
        raise self.error


class Doubler:
    """Says what it was asked."""

    def train(self, model: bytes, config: Mapping[str, ConfigValue]) -> LocalUpdate:
        return LocalUpdate(2 * np.frombuffer(model, np.float32), 3.0, {"rate": float(config["rate"])})

    def evaluate(self, model: bytes, config: Mapping[str, ConfigValue]) -> LocalEvaluation:
        return LocalEvaluation(2.0, {"bytes": float(len(model))})


def payload(kind: str = MessageType.TRAIN, content: RecordDict | None = None) -> bytes:
    if content is None:
        content = instruction(np.arange(4, dtype=np.float32).tobytes(), {"rate": 0.5})
    message = flower.instruct(content, kind, 77, "round-1")
    flower.set_message_id(message, "9")
    return flower.to_bytes(message)


def error_of(reply: bytes) -> tuple[int, str | None]:
    message: Message = flower.from_bytes(reply)
    assert message.has_error()
    assert message.metadata.reply_to_message_id == "9"
    return message.error.code, message.error.reason


def test_the_trainer_gets_the_model_and_the_settings() -> None:
    update = read_update(flower.from_bytes(answer_message(client_app(Doubler()), payload())))
    np.testing.assert_array_equal(update.change, [0, 2, 4, 6])
    assert (update.weight, update.metrics) == (3.0, {"rate": 0.5})
    evaluation = read_evaluation(
        flower.from_bytes(answer_message(client_app(Doubler()), payload(MessageType.EVALUATE)))
    )
    assert evaluation == LocalEvaluation(2.0, {"bytes": 16.0})


@pytest.mark.parametrize("kind", [MessageType.TRAIN, MessageType.EVALUATE])
def test_a_refusal_is_told_by_its_reason_alone(kind: str) -> None:
    app = client_app(FailingTrainer(PreconditionError(SECRET, reason="TOO_FEW_TASKS")))
    with capture_logs() as logs:
        reply = answer_message(app, payload(kind))
    assert error_of(reply) == (REFUSED, "TOO_FEW_TASKS")
    assert SECRET.encode() not in reply
    assert SECRET in str(logs), "the node's own log says why"


def test_an_exception_does_not_carry_a_tasks_text_off_the_node() -> None:
    with capture_logs() as logs:
        reply = answer_message(client_app(FailingTrainer(ZeroDivisionError(SECRET))), payload())
    assert error_of(reply) == (FAILED, "ZeroDivisionError")
    assert SECRET.encode() not in reply
    assert SECRET not in str(logs)
    assert f"ZeroDivisionError at {__file__}" in str(logs)


def test_an_update_that_no_coordinator_takes_stays_here() -> None:
    class NotFinite(Doubler):
        def train(self, model: bytes, config: Mapping[str, ConfigValue]) -> LocalUpdate:
            return LocalUpdate(np.full(4, np.nan, np.float32), 1.0)

    with capture_logs():
        assert error_of(answer_message(client_app(NotFinite()), payload())) == (REFUSED, "LEARNING_MESSAGE_MALFORMED")


def test_a_message_without_a_model_is_refused() -> None:
    with capture_logs():
        reply = answer_message(client_app(Doubler()), payload(content=RecordDict()))
    assert error_of(reply) == (REFUSED, "LEARNING_MESSAGE_MALFORMED")


@pytest.mark.parametrize("kind", [MessageType.QUERY, "train.other"])
def test_another_type_of_message_is_refused(kind: str) -> None:
    with capture_logs():
        assert error_of(answer_message(client_app(Doubler()), payload(kind))) == (REFUSED, "UNKNOWN_MESSAGE_TYPE")


def test_what_is_no_message_has_no_answer() -> None:
    with pytest.raises(InvalidInputError, match="malformed"):
        answer_message(client_app(Doubler()), b"\xff\xff")
