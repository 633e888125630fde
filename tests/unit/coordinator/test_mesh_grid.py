"""The grid over a real loop, real bytes and real client apps; only the wire between them is missing."""

from __future__ import annotations

import asyncio
from time import monotonic

import numpy as np
import pytest
from tests.fakes.learning import InProcessExchange, LeastSquares, vector_model

from weftmesh.coordinator.courier import Courier, CourierLimits, LeadershipLostError
from weftmesh.coordinator.grid import MeshGrid
from weftmesh.coordinator.node_numbers import number_of
from weftmesh.core.aggregation.messages import KeyAdvertisement
from weftmesh.core.errors import InvalidInputError, NodeUnreachableError
from weftmesh.runtime import flower
from weftmesh.runtime.flower import Message, MessageType
from weftmesh.runtime.training_messages import instruction, read_evaluation, read_update
from weftmesh.runtime.wire.envelopes import FlowerMessage, LearnerRefusal, seal, unseal

SIZE = 5
MODEL = vector_model(np.zeros(SIZE, np.float32))
CONFIG = {"rate": 0.1, "steps": 3}
NODES = ("a", "b", "c")


def exchange_of(*nodes: str) -> InProcessExchange:
    return InProcessExchange({node: LeastSquares.random(seed, SIZE) for seed, node in enumerate(nodes, 1)})


def grid_of(exchange: InProcessExchange, limits: CourierLimits | None = None, *, leading: bool = True) -> MeshGrid:
    return MeshGrid(Courier(asyncio.get_running_loop(), exchange, lambda: leading, limits), exchange.trainers)


def train_messages(grid: MeshGrid) -> list[Message]:
    content = instruction(MODEL, CONFIG)
    return [grid.create_message(content, MessageType.TRAIN, number, "r1") for number in grid.get_node_ids()]


async def ask(grid: MeshGrid, messages: list[Message], timeout_s: float | None = None) -> list[Message]:
    return await asyncio.to_thread(grid.send_and_receive, messages, timeout=timeout_s)


async def test_every_node_answers_what_it_learned() -> None:
    exchange = exchange_of(*NODES)
    grid = grid_of(exchange)
    replies = await ask(grid, train_messages(grid))
    assert [reply.metadata.src_node_id for reply in replies] == sorted(map(number_of, NODES))
    for reply in replies:
        node = next(node for node in NODES if number_of(node) == reply.metadata.src_node_id)
        expected = exchange.trainers[node].train(MODEL, CONFIG)
        update = read_update(reply)
        assert update.change.tobytes() == expected.change.tobytes()
        assert (update.weight, update.metrics) == (expected.weight, expected.metrics)
    assert not grid.missing


async def test_an_evaluation_goes_the_same_way() -> None:
    grid = grid_of(exchange := exchange_of("a"))
    message = grid.create_message(instruction(MODEL, {}), MessageType.EVALUATE, number_of("a"), "r1")
    (reply,) = await ask(grid, [message])
    assert read_evaluation(reply) == exchange.trainers["a"].evaluate(MODEL, {})


async def test_push_and_pull_give_each_reply_once() -> None:
    grid = grid_of(exchange_of(*NODES))
    ids = await asyncio.to_thread(grid.push_messages, train_messages(grid))
    assert len(set(ids)) == 3
    got: list[Message] = []
    while len(got) < 3:
        got += await asyncio.to_thread(grid.pull_messages, ids)
        await asyncio.sleep(0.01)
    assert not await asyncio.to_thread(grid.pull_messages, [*ids, "no such id"])


def unreachable(node: str, _payload: bytes) -> bytes:
    raise NodeUnreachableError(f"node {node} is away")


def broken(_node: str, _payload: bytes) -> bytes:
    raise ConnectionResetError("reset by peer")


def garbage(_node: str, _payload: bytes) -> bytes:
    return b"\xff\xff\xff"


def echo(_node: str, payload: bytes) -> bytes:
    return payload


def huge(_node: str, _payload: bytes) -> bytes:
    return bytes(CourierLimits().size_bytes_max + 1)


def garbage_inside(_node: str, _payload: bytes) -> bytes:
    return seal(FlowerMessage(b"\xff\xff\xff"))


def refusing(_node: str, _payload: bytes) -> bytes:
    return seal(LearnerRefusal("TOO_FEW_TASKS", "3 labels"))


def out_of_place(_node: str, _payload: bytes) -> bytes:
    return seal(KeyAdvertisement(bytes(16), "b", bytes(32), bytes(32), bytes(32), b""))


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (unreachable, "NODE_UNREACHABLE"),
        (broken, "reset by peer"),
        (garbage, "LEARNING_MESSAGE_MALFORMED"),
        (echo, "answers another message"),
        (huge, "LEARNING_MESSAGE_TOO_LARGE"),
        (garbage_inside, "malformed: DecodeError"),
        (refusing, "TOO_FEW_TASKS: 3 labels"),
        (out_of_place, "answered with KeyAdvertisement"),
    ],
)
async def test_a_failure_is_a_missing_reply(fault: object, why: str) -> None:
    exchange = exchange_of(*NODES)
    assert callable(fault)
    exchange.faults["b"] = fault
    grid = grid_of(exchange)
    replies = await ask(grid, train_messages(grid))
    assert number_of("b") not in {reply.metadata.src_node_id for reply in replies}
    assert len(replies) == 2
    assert why in grid.missing["b"]
    assert set(grid.missing) == {"b"}


async def test_a_reply_in_another_nodes_name_is_missing() -> None:
    exchange = exchange_of(*NODES)

    def as_c(_node: str, payload: bytes) -> bytes:
        letter = unseal(payload)
        assert isinstance(letter, FlowerMessage)
        request = flower.from_bytes(letter.payload)
        request.metadata.dst_node_id = number_of("c")
        return seal(FlowerMessage(flower.to_bytes(flower.reply(request.content, request))))

    exchange.faults["b"] = as_c
    grid = grid_of(exchange)
    assert len(await ask(grid, train_messages(grid))) == 2
    assert "answers another message" in grid.missing["b"]


async def test_who_is_late_is_missing_and_the_others_are_not_lost() -> None:
    exchange = exchange_of(*NODES)
    exchange.delay_s["b"] = 3600.0
    grid = grid_of(exchange)
    replies = await ask(grid, train_messages(grid), timeout_s=3.0)
    assert len(replies) == 2
    assert grid.missing == {"b": "no answer in time"}


async def test_the_grid_bounds_the_time_when_the_caller_does_not() -> None:
    exchange = exchange_of("a")
    exchange.delay_s["a"] = 60.0
    grid = grid_of(exchange, CourierLimits(timeout_s=0.2))
    assert not await ask(grid, train_messages(grid), timeout_s=3600.0)
    assert grid.missing == {"a": "no answer in time"}


async def test_only_so_many_are_under_way_at_once() -> None:
    exchange = exchange_of(*(f"n{one}" for one in range(9)))
    exchange.delay_s |= dict.fromkeys(exchange.trainers, 0.05)
    grid = grid_of(exchange, CourierLimits(in_flight_max=3))
    started_s = monotonic()
    assert len(await ask(grid, train_messages(grid))) == 9
    assert monotonic() - started_s >= 0.15


async def test_nobody_is_asked_once_another_node_leads() -> None:
    exchange = exchange_of(*NODES)
    grid = grid_of(exchange, leading=False)
    with pytest.raises(LeadershipLostError, match="does not lead"):
        await ask(grid, train_messages(grid))
    assert not exchange.delivered


async def test_leadership_is_asked_for_before_every_push() -> None:
    exchange = exchange_of(*NODES)
    answers = [True, False]
    grid = MeshGrid(Courier(asyncio.get_running_loop(), exchange, lambda: answers.pop(0)), NODES)
    assert len(await ask(grid, train_messages(grid))) == 3
    with pytest.raises(LeadershipLostError):
        await ask(grid, train_messages(grid))
    assert len(exchange.delivered) == 3


async def test_nothing_is_sent_when_one_message_is_too_large() -> None:
    exchange = exchange_of(*NODES)
    grid = grid_of(exchange, CourierLimits(size_bytes_max=100))
    with pytest.raises(InvalidInputError, match="train a smaller model"):
        await ask(grid, train_messages(grid))
    assert not exchange.delivered


async def test_nothing_is_sent_when_one_message_is_for_a_stranger() -> None:
    exchange = exchange_of(*NODES)
    grid = grid_of(exchange)
    stray = grid.create_message(instruction(MODEL, CONFIG), MessageType.TRAIN, 12345, "r1")
    with pytest.raises(InvalidInputError, match="no node of this round"):
        await ask(grid, [*train_messages(grid), stray])
    assert not exchange.delivered


async def test_on_its_own_loop_the_grid_refuses_to_block() -> None:
    grid = grid_of(exchange_of("a"))
    with pytest.raises(RuntimeError, match=r"asyncio\.to_thread"):
        grid.send_and_receive(train_messages(grid))


async def test_a_run_may_be_set() -> None:
    grid = grid_of(exchange_of("a"))
    run = flower.new_run()
    grid.set_run(run)
    assert grid.run is run
