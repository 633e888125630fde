"""Rounds of secure aggregation through Flower's strategy: real machines, masks and bytes on both sides."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
from structlog.testing import capture_logs
from tests.fakes.aggregation import ContributingMesh, Identities, OneLog
from tests.fakes.learning import RATE, InProcessExchange, LeastSquares, VectorStep, vector_model, vectors_of

from weftmesh.coordinator.aggregated_round import RoundAbandonedError
from weftmesh.coordinator.aggregating_grid import AggregatingGrid, AggregationSettings
from weftmesh.coordinator.courier import Courier, LeadershipLostError, quotable
from weftmesh.coordinator.evaluation import FederatedEvaluation
from weftmesh.coordinator.grid import MeshGrid
from weftmesh.coordinator.strategy import SteppingFedAvg
from weftmesh.coordinator.training_round import RoundResult, run_evaluation, run_round
from weftmesh.core.aggregation.coordinator import StageTimeouts
from weftmesh.core.aggregation.messages import KeyAdvertisement
from weftmesh.core.aggregation.roster import SignedStatement
from weftmesh.core.errors import InvalidInputError
from weftmesh.core.learning.model import Limits
from weftmesh.core.learning.validate import note
from weftmesh.runtime.flower import MessageType
from weftmesh.runtime.masking import words_to_bytes
from weftmesh.runtime.training_messages import ConfigValue, instruction
from weftmesh.runtime.wire.envelopes import (
    Contribution,
    FlowerMessage,
    LearnerRefusal,
    Work,
    seal,
    unseal,
)

SIZE = 64
MODEL = vector_model(np.zeros(SIZE, np.float32))
CONFIG: Mapping[str, ConfigValue] = {"rate": 0.05, "steps": 5}
SETTINGS = AggregationSettings(SIZE, ("loss",), ("loss",), StageTimeouts(30.0, 30.0, 60.0, 30.0, 30.0))
FIXED_POINT = 2.0**-24


class Mesh:
    """A coordinator and its contributors in one process."""

    def __init__(self, count: int) -> None:
        trainers = {f"node{one:02}": LeastSquares.random(one, SIZE) for one in range(1, count + 1)}
        self.side = ContributingMesh(trainers)
        self.exchange = InProcessExchange(trainers)
        for node in trainers:
            self.exchange.learners[node] = self.side.learner(node).answer
        self.leading = True

    @property
    def log(self) -> OneLog:
        return self.side.log

    def courier(self) -> Courier:
        return Courier(asyncio.get_running_loop(), self.exchange, lambda: self.leading)

    def grid(self, settings: AggregationSettings = SETTINGS) -> AggregatingGrid:
        return AggregatingGrid(self.courier(), self.exchange.trainers, self.log, self.side.identities.verify, settings)

    async def train(self, model: bytes = MODEL) -> RoundResult:
        return await run(self.grid(), model, replies_min=1)

    def drop(self, node: str, question: Callable[[object], bool]) -> None:
        """From the first such question on, the node is away."""
        learner = self.exchange.learners[node]
        gone = False

        def deliver(_node: str, payload: bytes) -> bytes:
            nonlocal gone
            gone = gone or question(unseal(payload))
            if gone:
                raise ConnectionResetError("away")
            return learner(payload)

        self.exchange.faults[node] = deliver


async def run(grid: MeshGrid, model: bytes, *, replies_min: int) -> RoundResult:
    strategy = SteppingFedAvg(VectorStep(), contributors_min=3, replies_min=replies_min)
    return await asyncio.to_thread(run_round, strategy, grid, model, CONFIG, 100.0)


@pytest.mark.parametrize("count", [3, 16])
async def test_a_masked_mean_is_the_plain_mean(count: int) -> None:
    mesh = Mesh(count)
    plain_exchange = InProcessExchange(mesh.exchange.trainers)
    masked = plain = RoundResult(MODEL, {})
    for version in range(1, 4):
        mesh.log.base_version = version
        masked = await mesh.train(masked.model)
        plain_grid = MeshGrid(Courier(asyncio.get_running_loop(), plain_exchange, lambda: True), mesh.exchange.trainers)
        plain = await run(plain_grid, plain.model, replies_min=count)
    difference = np.abs(np.subtract(vectors_of(masked.model), vectors_of(plain.model))).max()
    assert difference < 1e-6
    assert masked.metrics["loss"] == pytest.approx(plain.metrics["loss"], abs=1e-5)
    assert len(mesh.log.intents) == 3


async def test_an_evaluation_is_aggregated_too() -> None:
    mesh = Mesh(3)
    strategy = FederatedEvaluation(contributors_min=3, replies_min=1)
    metrics = await asyncio.to_thread(run_evaluation, strategy, mesh.grid(), MODEL, {}, 30.0)
    each = [one.evaluate(MODEL, {}) for one in mesh.exchange.trainers.values()]
    mean = sum(one.weight * one.metrics["loss"] for one in each) / sum(one.weight for one in each)
    assert metrics["loss"] == pytest.approx(mean, abs=1e-5)
    (terms,) = mesh.log.opened
    assert (terms.job, terms.vector_length) == ("effort/evaluate", 2)


async def test_nothing_of_one_node_is_in_the_clear() -> None:
    mesh = Mesh(3)
    answers: list[bytes] = []
    for node, learner in mesh.exchange.learners.items():

        def listening(_node: str, payload: bytes, learner: Callable[[bytes], bytes] = learner) -> bytes:
            answers.append(learner(payload))
            return answers[-1]

        mesh.exchange.faults[node] = listening
    await mesh.train()
    contributions = [one for one in map(unseal, answers) if isinstance(one, Contribution)]
    assert len(contributions) == 3
    heard = b"".join(answers)
    for trainer in mesh.exchange.trainers.values():
        update = trainer.train(MODEL, CONFIG)
        for secret in (update.weight, update.metrics["loss"], float(update.change[0])):
            for form in (struct.pack("<d", secret), struct.pack("<f", secret), fixed_point(secret)):
                assert form not in heard
        assert update.change.tobytes() not in heard
    for one in contributions:
        words = np.frombuffer(one.vector, "<u8")
        assert np.unpackbits(words.view(np.uint8)).mean() == pytest.approx(0.5, abs=0.03), "it looks like noise"


def fixed_point(number: float) -> bytes:
    return words_to_bytes(np.array([round(number / FIXED_POINT)], np.int64).view(np.uint64))


STAGES: Mapping[str, Callable[[object], bool]] = {
    "advertising": lambda _letter: True,
    "sharing": lambda letter: type(letter).__name__ == "RosterAnnouncement",
    "masking": lambda letter: isinstance(letter, Work),
    "unmasking": lambda letter: type(letter).__name__ == "UnmaskRequest",
}


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize(("count", "before", "at_unmasking"), [(3, 0, 1), (5, 1, 1), (10, 3, 3), (16, 6, 6)])
async def test_a_round_survives_those_that_go_away(count: int, before: int, at_unmasking: int, stage: str) -> None:
    """As many as docs/security.md says; one more, and there is no model."""
    nodes = [f"node{one:02}" for one in range(1, count + 1)]
    tolerated = at_unmasking if stage == "unmasking" else before
    for losses in (tolerated, tolerated + 1):
        mesh, gone = Mesh(count), nodes[:losses]
        for node in gone:
            mesh.drop(node, STAGES[stage])
        if losses > tolerated:
            with pytest.raises(RoundAbandonedError):
                await mesh.train()
            continue
        result = await mesh.train()
        left_in = [node for node in nodes if stage == "unmasking" or node not in gone]
        updates = [mesh.exchange.trainers[node].train(MODEL, CONFIG) for node in left_in]
        mean = sum(one.weight * one.change.astype(np.float64) for one in updates) / sum(one.weight for one in updates)
        np.testing.assert_allclose(vectors_of(result.model)[0], RATE * mean, atol=1e-6)


async def test_of_three_nodes_none_may_go_before_its_vector_came() -> None:
    mesh = Mesh(3)
    mesh.drop("node02", STAGES["masking"])
    with pytest.raises(RoundAbandonedError, match=r"2 masked vectors came; 3 are needed .*node02: .*away"):
        await mesh.train()
    assert not mesh.log.intents


async def test_of_three_nodes_one_may_go_at_the_end() -> None:
    mesh = Mesh(3)
    mesh.drop("node02", STAGES["unmasking"])
    grid = mesh.grid()
    await run(grid, MODEL, replies_min=1)
    assert grid.contributors == ("node01", "node02", "node03")
    assert mesh.exchange.delivered.count("node02") == 4, "it was asked to help, and did not"


async def test_a_slow_node_is_left_behind_at_the_end_of_its_stage() -> None:
    mesh = Mesh(5)
    mesh.exchange.delay_s["node04"] = 60.0
    grid = mesh.grid(replace(SETTINGS, timeouts=StageTimeouts(4.0, 30.0, 60.0, 30.0, 30.0)))
    await run(grid, MODEL, replies_min=1)
    assert grid.contributors == ("node01", "node02", "node03", "node05")


async def test_a_forged_identity_has_no_part() -> None:
    mesh = Mesh(5)
    mesh.exchange.learners["node03"] = mesh.side.learner("node03", signer=Identities(seed=2)).answer
    grid = mesh.grid()
    await run(grid, MODEL, replies_min=1)
    assert "BAD_SIGNATURE" in grid.missing["node03"]
    assert "node03" not in grid.contributors


async def test_answers_after_enough_of_them_are_no_failures() -> None:
    mesh = Mesh(16)
    grid = mesh.grid()
    with capture_logs() as logged:
        for version in range(1, 4):
            mesh.log.base_version = version
            await run(grid, MODEL, replies_min=1)
    assert not [entry for entry in logged if entry["event"] == "no answer of a contributor"]
    assert not grid.missing


def spoil(change: Callable[[Contribution], object], learner: Callable[[bytes], bytes]) -> Callable[[str, bytes], bytes]:
    def deliver(_node: str, payload: bytes) -> bytes:
        answer = learner(payload)
        letter = unseal(answer)
        if not isinstance(letter, Contribution):
            return answer
        spoilt = change(letter)
        assert isinstance(spoilt, Contribution | LearnerRefusal | FlowerMessage)
        return seal(spoilt)

    return deliver


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda one: replace(one, vector=one.vector[:-8]), "a vector of"),
        (lambda one: replace(one, announcement=replace(one.announcement, roster_hash=bytes(32))), "ROSTER_MISMATCH"),
        (lambda one: replace(one, announcement=replace(one.announcement, round_id=bytes(16))), "WRONG_ROUND"),
        (lambda _one: LearnerRefusal("OUT_OF_MEMORY", "no"), "OUT_OF_MEMORY"),
        (lambda _one: FlowerMessage(b""), "answered with FlowerMessage"),
    ],
)
async def test_a_contribution_that_is_wrong_is_not_in_the_sum(
    change: Callable[[Contribution], object], why: str
) -> None:
    mesh = Mesh(5)
    mesh.exchange.faults["node05"] = spoil(change, mesh.exchange.learners["node05"])
    grid = mesh.grid()
    await run(grid, MODEL, replies_min=1)
    assert why in grid.missing["node05"]
    assert "node05" not in grid.contributors


async def test_a_refusal_is_quoted_in_a_line_that_the_log_takes() -> None:
    mesh = Mesh(5)
    liar = LearnerRefusal("ALREADY_ANSWERED", "one\ntwo\x1b[2J" + "x" * 1_000_000)
    mesh.exchange.faults["node05"] = lambda _node, _payload: seal(liar)
    grid = mesh.grid()
    await run(grid, MODEL, replies_min=1)
    assert grid.missing["node05"].startswith("ALREADY_ANSWERED: one?two?[2Jxxx")
    assert len(grid.missing["node05"]) <= 300
    assert note(quotable(f"given up:\n{grid.missing}", Limits.NOTE_CHARACTERS)).startswith("given up:?{")


async def test_nobody_is_asked_for_the_certificate_of_another_whose_name_a_node_uses() -> None:
    mesh = Mesh(5)
    learner = mesh.exchange.learners["node05"]
    asked: list[str] = []

    def steal(_node: str, payload: bytes) -> bytes:
        letter = unseal(learner(payload))
        return seal(replace(letter, contributor="node01") if isinstance(letter, KeyAdvertisement) else letter)

    def verify(statements: Sequence[SignedStatement]) -> Sequence[bool]:
        asked.extend(one.contributor for one in statements)
        return mesh.side.identities.verify(statements)

    mesh.exchange.faults["node05"] = steal
    grid = AggregatingGrid(mesh.courier(), mesh.exchange.trainers, mesh.log, verify, SETTINGS)
    await run(grid, MODEL, replies_min=1)
    assert "in the name of another" in grid.missing["node05"]
    assert sorted(asked) == ["node01", "node02", "node03", "node04"]


async def test_a_refused_intent_abandons_the_round() -> None:
    mesh = Mesh(3)
    mesh.log.refusing = True
    with pytest.raises(RoundAbandonedError, match="VERSION_CONFLICT"):
        await mesh.train()
    assert not any(mesh.side.memories.values())


async def test_a_second_sum_over_one_base_version_is_not_unmasked() -> None:
    mesh = Mesh(5)
    await mesh.train()
    assert all(len(kept) == 1 for kept in mesh.side.memories.values())
    mesh.drop("node02", STAGES["advertising"])
    mesh.log.intents.clear()
    with pytest.raises(RoundAbandonedError, match="ALREADY_ANSWERED") as caught:
        await mesh.train()
    assert set(caught.value.refusals.values()) == {"ALREADY_ANSWERED"}
    assert len(caught.value.refusals) == 4, "who was not reached has refused nothing"


async def test_an_intent_that_only_the_coordinator_knows_unmasks_nothing() -> None:
    mesh = Mesh(3)

    class LyingLog(OneLog):
        def commit(self, intent: object) -> None:
            return

    mesh.side.log = LyingLog()
    for node in mesh.exchange.trainers:
        mesh.exchange.learners[node] = mesh.side.learner(node).answer
    with pytest.raises(RoundAbandonedError, match="INTENT_NOT_SHOWN"):
        await mesh.train()


async def test_training_outside_of_secure_aggregation_is_refused() -> None:
    mesh = Mesh(3)
    plain = MeshGrid(mesh.courier(), mesh.exchange.trainers)
    messages = [
        plain.create_message(instruction(MODEL, CONFIG), MessageType.TRAIN, number, "r")
        for number in plain.get_node_ids()
    ]
    assert not await asyncio.to_thread(plain.send_and_receive, messages)
    assert all("PLAIN_TRAINING_REFUSED" in why for why in plain.missing.values())


async def test_who_stops_leading_sends_nothing_more() -> None:
    mesh = Mesh(3)

    def stop(_node: str, payload: bytes) -> bytes:
        mesh.leading = False
        return mesh.exchange.learners["node02"](payload)

    mesh.exchange.faults["node02"] = stop
    with pytest.raises(LeadershipLostError):
        await mesh.train()
    assert len(mesh.exchange.delivered) == 3


@pytest.mark.parametrize("kinds", [("query",) * 3, ("train", "train", "evaluate")])
async def test_a_round_is_for_one_kind_of_work(kinds: tuple[str, ...]) -> None:
    mesh = Mesh(3)
    grid = mesh.grid()
    content = instruction(MODEL, CONFIG)
    messages = [
        grid.create_message(content, kind, number, "r") for kind, number in zip(kinds, grid.get_node_ids(), strict=True)
    ]
    with pytest.raises(InvalidInputError, match="a round is for train or evaluate"):
        await asyncio.to_thread(grid.send_and_receive, messages)
    with pytest.raises(InvalidInputError, match="use send_and_receive"):
        grid.push_messages(messages)
    assert not mesh.log.opened


async def test_one_node_gets_one_message() -> None:
    mesh = Mesh(3)
    grid = mesh.grid()
    number = grid.get_node_ids()[0]
    messages = [grid.create_message(instruction(MODEL, CONFIG), "train", number, "r") for _ in range(2)]
    with pytest.raises(InvalidInputError, match="two messages for node"):
        await asyncio.to_thread(grid.send_and_receive, messages)
    assert not await asyncio.to_thread(grid.send_and_receive, [])
