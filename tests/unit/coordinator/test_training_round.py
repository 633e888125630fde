"""Rounds through Flower's strategy, our grid and real bytes, beside the same arithmetic in plain numpy."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import numpy as np
import pytest
from tests.fakes.learning import MOMENTUM, RATE, InProcessExchange, LeastSquares, VectorStep, vector_model

from weftmesh.coordinator.courier import Courier, LeadershipLostError
from weftmesh.coordinator.evaluation import FederatedEvaluation
from weftmesh.coordinator.grid import MeshGrid
from weftmesh.coordinator.node_numbers import number_of
from weftmesh.coordinator.strategy import SteppingFedAvg
from weftmesh.coordinator.training_round import RoundResult, TooFewContributorsError, run_evaluation, run_round
from weftmesh.core.errors import InvalidInputError
from weftmesh.runtime import flower
from weftmesh.runtime.flower import Message, RecordDict
from weftmesh.runtime.training_messages import (
    ConfigValue,
    LocalUpdate,
    update_content,
)
from weftmesh.runtime.wire.envelopes import FlowerMessage, seal, unseal

SIZE = 64
CONFIG: Mapping[str, ConfigValue] = {"rate": 0.05, "steps": 5}
MODEL = vector_model(np.zeros(SIZE, np.float32))
ONES = vector_model(np.ones(SIZE, np.float32))


def trainers_of(count: int) -> dict[str, LeastSquares]:
    return {f"node{one}": LeastSquares.random(one, SIZE) for one in range(1, count + 1)}


async def train(exchange: InProcessExchange, model: bytes = MODEL) -> RoundResult:
    grid = MeshGrid(Courier(asyncio.get_running_loop(), exchange, lambda: True), exchange.trainers)
    strategy = SteppingFedAvg(VectorStep(), contributors_min=3)
    return await asyncio.to_thread(run_round, strategy, grid, model, CONFIG, 30.0)


def plain_rounds(trainers: Mapping[str, LeastSquares], rounds: int) -> bytes:
    """Momentum averaging without Flower, the grid or bytes: the model at the end."""
    parameters, velocity = np.zeros(SIZE, np.float32), np.zeros(SIZE, np.float32)
    for _ in range(rounds):
        updates = [trainers[node].train(vector_model(parameters), CONFIG) for node in sorted(trainers, key=number_of)]
        total = sum(update.weight for update in updates)
        mean = np.zeros(SIZE, np.float32)
        for update in updates:
            mean += update.change * (update.weight / total)
        velocity = MOMENTUM * velocity + mean
        parameters = parameters + RATE * velocity
    return vector_model(parameters, velocity)


@pytest.mark.parametrize("count", [3, 16])
async def test_rounds_equal_plain_averaging_bit_for_bit(count: int) -> None:
    exchange = InProcessExchange(trainers_of(count))
    model = MODEL
    losses = []
    for _ in range(4):
        # A new strategy each time, as after a change of leaders: all that stays is the model.
        result = await train(exchange, model)
        model = result.model
        losses.append(result.metrics["loss"])
    assert model == plain_rounds(exchange.trainers, 4)
    assert losses == sorted(losses, reverse=True)
    assert len(exchange.delivered) == 4 * count
    assert exchange.bytes_moved > 4 * count * 2 * 4 * SIZE


async def evaluate(exchange: InProcessExchange, model: bytes) -> Mapping[str, float]:
    grid = MeshGrid(Courier(asyncio.get_running_loop(), exchange, lambda: True), exchange.trainers)
    return await asyncio.to_thread(run_evaluation, FederatedEvaluation(contributors_min=3), grid, model, {}, 30.0)


async def test_an_evaluation_is_the_weighted_mean_over_the_nodes() -> None:
    exchange = InProcessExchange(trainers_of(3))
    model = ONES
    each = [exchange.trainers[node].evaluate(model, {}) for node in sorted(exchange.trainers)]
    mean = sum(one.weight * one.metrics["loss"] for one in each) / sum(one.weight for one in each)
    assert await evaluate(exchange, model) == pytest.approx({"loss": mean})
    assert len(exchange.delivered) == 3


async def test_too_few_evaluations_make_none() -> None:
    exchange = InProcessExchange(trainers_of(3), faults={"node1": away})
    with pytest.raises(TooFewContributorsError, match="usable evaluation"):
        await evaluate(exchange, ONES)
    with pytest.raises(TooFewContributorsError, match="2 nodes take part"):
        await evaluate(InProcessExchange(trainers_of(2)), b"")
    with pytest.raises(InvalidInputError, match="contributors_min"):
        FederatedEvaluation(contributors_min=0)


async def test_an_evaluation_without_metrics_is_left_out() -> None:
    def empty(_node: str, payload: bytes) -> bytes:
        return seal(FlowerMessage(flower.to_bytes(flower.reply(RecordDict(), request_in(payload)))))

    exchange = InProcessExchange(trainers_of(4), faults={"node4": empty})
    model = ONES
    without = InProcessExchange({node: one for node, one in exchange.trainers.items() if node != "node4"})
    assert await evaluate(exchange, model) == await evaluate(without, model)


async def test_a_round_with_too_few_nodes_does_not_start() -> None:
    exchange = InProcessExchange(trainers_of(2))
    with pytest.raises(TooFewContributorsError, match="2 nodes take part and the job needs 3") as caught:
        await train(exchange)
    assert caught.value.reason == "TOO_FEW_CONTRIBUTORS"
    assert not exchange.delivered


def away(_node: str, _payload: bytes) -> bytes:
    raise ConnectionResetError("away")


def request_in(payload: bytes) -> Message:
    letter = unseal(payload)
    assert isinstance(letter, FlowerMessage)
    return flower.from_bytes(letter.payload)


def reply_with(update: LocalUpdate, payload: bytes) -> bytes:
    request = request_in(payload)
    return seal(FlowerMessage(flower.to_bytes(flower.reply(update_content(update), request))))


def of_another_model(_node: str, payload: bytes) -> bytes:
    return reply_with(LocalUpdate(np.ones(SIZE + 1, np.float32), 1.0, {"loss": 0.0}), payload)


def without_content(_node: str, payload: bytes) -> bytes:
    return seal(FlowerMessage(flower.to_bytes(flower.reply_error(2, "MemoryError", request_in(payload)))))


@pytest.mark.parametrize("fault", [away, of_another_model, without_content])
async def test_who_gives_nothing_usable_is_left_out(fault: object) -> None:
    assert callable(fault)
    trainers = trainers_of(4)
    exchange = InProcessExchange(trainers, faults={"node2": fault})
    result = await train(exchange)
    others = {node: one for node, one in trainers.items() if node != "node2"}
    assert result.model == plain_rounds(others, 1)


async def test_too_few_usable_updates_change_nothing() -> None:
    exchange = InProcessExchange(trainers_of(4), faults={"node2": away, "node3": of_another_model})
    with pytest.raises(TooFewContributorsError, match="too few of 4 nodes answered"):
        await train(exchange)


async def test_a_mean_that_the_step_refuses_changes_nothing() -> None:
    def enormous(_node: str, payload: bytes) -> bytes:
        return reply_with(LocalUpdate(np.full(SIZE, 3e38, np.float32), 1.0, {"loss": 0.0}), payload)

    exchange = InProcessExchange(trainers_of(3), faults=dict.fromkeys(trainers_of(3), enormous))
    with pytest.raises(TooFewContributorsError):
        await train(exchange, vector_model(np.full(SIZE, 3e38, np.float32)))


async def test_a_round_stops_when_another_node_leads() -> None:
    exchange = InProcessExchange(trainers_of(3))
    grid = MeshGrid(Courier(asyncio.get_running_loop(), exchange, lambda: False), exchange.trainers)
    strategy = SteppingFedAvg(VectorStep(), contributors_min=3)
    with pytest.raises(LeadershipLostError):
        await asyncio.to_thread(run_round, strategy, grid, MODEL, CONFIG, 30.0)


async def test_a_model_of_another_kind_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="not a model"):
        await train(InProcessExchange(trainers_of(3)), b"odd")


def test_a_strategy_for_nobody_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="contributors_min"):
        SteppingFedAvg(VectorStep(), contributors_min=0)
