"""A learner between a coordinator that asks anything and a trainer that may fail."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from tests.fakes.aggregation import ContributingMesh
from tests.fakes.learning import LeastSquares, vector_model

from weftmesh.core.aggregation.coordinator import RoundCoordinator
from weftmesh.core.aggregation.events import Received, Send, Start
from weftmesh.core.aggregation.messages import KeyAdvertisement, RosterAnnouncement, ShareDelivery, ShareUpload
from weftmesh.core.errors import PreconditionError
from weftmesh.learner.contributing import ContributingLearner
from weftmesh.runtime import flower
from weftmesh.runtime.flower import MessageType
from weftmesh.runtime.training_messages import ConfigValue, LocalUpdate, instruction
from weftmesh.runtime.wire.envelopes import (
    Contribution,
    FlowerMessage,
    LearnerRefusal,
    Letter,
    Work,
    seal,
    unseal,
)

SIZE = 4
NODES = ("a", "b", "c")
SECRET = "the customer's name is Ada"


class Failing(LeastSquares):
    def train(self, model: bytes, config: Mapping[str, ConfigValue]) -> LocalUpdate:
        raise PreconditionError(SECRET, reason="TOO_FEW_TASKS")


def mesh() -> ContributingMesh:
    trainers = {node: LeastSquares.random(seed, SIZE) for seed, node in enumerate(NODES, 1)}
    trainers["c"] = Failing(trainers["c"].rows, trainers["c"].targets)
    return ContributingMesh(trainers)


def ask(learner: ContributingLearner, letter: Letter) -> Letter:
    with capture_logs():
        return unseal(learner.answer(seal(letter)))


def refusal(answer: Letter) -> LearnerRefusal:
    assert isinstance(answer, LearnerRefusal)
    return answer


def work_of(delivery: ShareDelivery, metrics: tuple[str, ...], kind: str = MessageType.TRAIN) -> Work:
    content = instruction(vector_model(np.zeros(SIZE, np.float32)), {"rate": 0.1, "steps": 1})
    return Work(delivery, flower.to_bytes(flower.instruct(content, kind, 5, "r")), metrics)


def shared_round(one: ContributingMesh) -> tuple[dict[str, ContributingLearner], dict[str, ShareDelivery]]:
    """Learners that have exchanged keys and shares, and what each gets next: masks for vectors of SIZE + 2 words."""
    learners = {node: one.learner(node) for node in NODES}
    machine = RoundCoordinator(one.log.open("train", NODES, SIZE + 2), verify=one.identities.verify)
    deliveries: dict[str, ShareDelivery] = {}
    effects = list(machine.apply(Start(), 0.0).effects)
    while effects:
        effect = effects.pop(0)
        assert isinstance(effect, Send)
        if isinstance(effect.message, ShareDelivery):
            deliveries[effect.receiver] = effect.message
            continue
        assert not isinstance(effect.message, RosterAnnouncement) or len(effect.message.entries) == 3
        answer = ask(learners[effect.receiver], effect.message)
        assert isinstance(answer, KeyAdvertisement | ShareUpload)
        effects += machine.apply(Received(effect.receiver, answer), 0.0).effects
    return learners, deliveries


def test_masks_are_handed_out_once() -> None:
    learners, deliveries = shared_round(mesh())
    answer = ask(learners["a"], work_of(deliveries["a"], ("loss",)))
    assert isinstance(answer, Contribution)
    assert len(answer.vector) == 8 * (SIZE + 2)
    assert refusal(ask(learners["a"], work_of(deliveries["a"], ("loss",)))).reason == "OUT_OF_STAGE"


def test_a_trainer_that_will_not_is_told_by_its_reason_alone() -> None:
    learners, deliveries = shared_round(mesh())
    payload = seal(work_of(deliveries["c"], ("loss",)))
    with capture_logs():
        answer = learners["c"].answer(payload)
    assert refusal(unseal(answer)).reason == "TOO_FEW_TASKS"
    assert SECRET.encode() not in answer


@pytest.mark.parametrize(
    ("metrics", "kind"),
    [
        (("accuracy",), MessageType.TRAIN),
        ((), MessageType.TRAIN),
        (("loss", "accuracy"), MessageType.TRAIN),
        (tuple(f"m{number}" for number in range(20)), MessageType.TRAIN),
        (("loss",), MessageType.EVALUATE),
        (("loss",), MessageType.QUERY),
    ],
)
def test_work_that_does_not_fit_the_vector_is_refused(metrics: tuple[str, ...], kind: str) -> None:
    learners, deliveries = shared_round(mesh())
    refusal(ask(learners["a"], work_of(deliveries["a"], metrics, kind)))


def test_what_is_no_question_is_refused() -> None:
    learner = mesh().learner("a")
    assert "not asked" in refusal(ask(learner, LearnerRefusal("WHY", "not"))).message
    assert refusal(ask(learner, FlowerMessage(b""))).reason == "PLAIN_TRAINING_REFUSED"


def test_a_learner_that_cannot_sign_says_so() -> None:
    one = mesh()

    class Locked:
        def key(self, node: str) -> Locked:
            return self

        def sign(self, statement: bytes) -> bytes:
            raise PreconditionError("the node is leaving", reason="NODE_LEAVING")

    learner = one.learner("a", signer=Locked())  # type: ignore[arg-type]  # only its sign is used
    terms = one.log.open("train", NODES, SIZE + 2)
    (invitation, *_) = RoundCoordinator(terms, verify=one.identities.verify).apply(Start(), 0.0).effects
    assert isinstance(invitation, Send)
    answer = ask(learner, invitation.message)  # type: ignore[arg-type]  # the first is an invitation
    assert refusal(answer).reason == "SIGNING_FAILED"


@given(st.binary(max_size=80))
def test_garbage_is_answered_by_a_refusal(payload: bytes) -> None:
    learner = mesh().learner("a")
    with capture_logs():
        refusal(unseal(learner.answer(payload)))
