"""Flower's SuperLink and SuperNodes run our client app and our strategy, and make the model that our own mesh makes.

No network is needed, only loopback: see benchmarks/learning/flower_deployment.py for what of Flower is switched off.
"""

from __future__ import annotations

import asyncio
import io
import os
import random
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from benchmarks.learning.flower_deployment import NodeFiles, deployment, missing_programs
from benchmarks.learning.superlink import first_model
from tests.fakes.learning import InProcessExchange
from tests.peers.flower_app.effort_app import client, server
from tests.peers.flower_app.effort_app.client import trainer_over
from tests.peers.flower_engine import run_in_process

from weftmesh.board.v1 import board_pb2
from weftmesh.client.exchange.exporter import export_jsonl
from weftmesh.coordinator.courier import Courier
from weftmesh.coordinator.grid import MeshGrid
from weftmesh.coordinator.model_steps import EffortStep
from weftmesh.coordinator.node_numbers import number_of
from weftmesh.coordinator.strategy import SteppingFedAvg
from weftmesh.coordinator.training_round import run_round
from weftmesh.core.forecast.model_bytes import decode_model
from weftmesh.core.learning.model import RoundKind
from weftmesh.learner.app import answer_plain, client_app
from weftmesh.learner.effort import HEAD
from weftmesh.runtime.round_settings import RoundSettings

NODES, LABELS, ROUNDS = 3, 30, 2
RUN_S = 400.0
WORDS = ("crash", "typo", "login", "rewrite", "scheduler", "label", "migration", "colour", "driver", "timeout")


async def exported(seed: int) -> AsyncIterator[board_pb2.Task]:
    """Done tasks of one project whose estimates follow from their words."""
    rng = random.Random(seed)
    for number in range(LABELS):
        picked = rng.sample(range(len(WORDS)), 3)
        task = board_pb2.Task(
            name=f"projects/P{seed}/tasks/{number:05}",
            title=" ".join(WORDS[one] for one in picked),
            status=board_pb2.TASK_STATUS_DONE,
            estimate=float((1, 2, 3, 5, 8)[max(picked) // 2]),
            version=1,
        )
        task.create_time.FromSeconds(1_700_000_000 + number)
        task.update_time.FromSeconds(1_700_000_000 + number)
        yield task


async def node_files(directory: Path, seed: int) -> NodeFiles:
    lines = io.StringIO()
    assert await export_jsonl(exported(seed), lines) == LABELS
    path = directory / f"tasks{seed}.jsonl"
    path.write_text(lines.getvalue())
    return NodeFiles(path, f"P{seed}", directory / f"state{seed}")


async def mesh_rounds(nodes: Sequence[NodeFiles], state: Path, model: bytes) -> bytes:
    """The same rounds over our own grid, whose nodes are summed in the order in which they are given here."""
    names = sorted((f"node{number}" for number in range(len(nodes))), key=number_of)
    learners: dict[str, Callable[[bytes], bytes]] = {
        name: partial(
            answer_plain, client_app(trainer_over(node.tasks, node.project, state / name, RoundKind.TRAINING))
        )
        for name, node in zip(names, nodes, strict=True)
    }
    exchange = InProcessExchange({}, learners=learners)
    grid = MeshGrid(Courier(asyncio.get_running_loop(), exchange, lambda: True), names)
    config = RoundSettings(HEAD, RoundKind.TRAINING).to_config()
    for _ in range(ROUNDS):
        strategy = SteppingFedAvg(EffortStep(), contributors_min=len(nodes))
        model = (await asyncio.to_thread(run_round, strategy, grid, model, config, RUN_S)).model
    return model


def in_order(node_ids: Sequence[int], nodes: Sequence[NodeFiles]) -> list[NodeFiles]:
    """Sums of floats depend on their order: the strategy sums by the nodes' numbers, and Flower draws those."""
    return [node for _, node in sorted(zip(node_ids, nodes, strict=True), key=lambda pair: pair[0])]


def check_trained(model: bytes, base: bytes) -> None:
    assert decode_model(model).version == decode_model(base).version + ROUNDS
    assert np.any(decode_model(model).weights)


async def test_flowers_engine_and_our_mesh_make_the_same_model(tmp_path: Path) -> None:
    nodes = [await node_files(tmp_path, seed) for seed in range(1, NODES + 1)]
    base = first_model(nodes, tmp_path / "counting")
    (tmp_path / "base").write_bytes(base)
    node_configs = [{"tasks": str(one.tasks), "project": one.project, "state": str(one.state)} for one in nodes]
    files: dict[str, str | float] = {"model": str(tmp_path / "base"), "results": str(tmp_path)}
    run_config = files | {"nodes": NODES, "rounds": ROUNDS, "as-of-s": 0.0, "timeout-s": RUN_S}
    node_ids = await asyncio.to_thread(run_in_process, server.app, client.app, node_configs, run_config)
    model = (tmp_path / server.MODEL).read_bytes()
    assert model == await mesh_rounds(in_order(node_ids, nodes), tmp_path / "mesh", base)
    check_trained(model, base)


@pytest.mark.integration
@pytest.mark.slow
@pytest.mark.timeout(700)  # 84 s at a load of 7
async def test_superlink_and_our_mesh_make_the_same_model(tmp_path: Path) -> None:
    if absent := missing_programs():
        reason = f"not installed: {', '.join(absent)}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    nodes = [await node_files(tmp_path, seed) for seed in range(1, NODES + 1)]
    base = first_model(nodes, tmp_path / "counting")

    def over_flower() -> tuple[bytes, Sequence[int]]:
        (tmp_path / "flower").mkdir()
        with deployment(tmp_path / "flower", nodes, superexec_poll_s=0.5) as running:
            return running.run(base, ROUNDS, RUN_S).model, running.node_ids

    model, node_ids = await asyncio.to_thread(over_flower)
    assert model == await mesh_rounds(in_order(node_ids, nodes), tmp_path / "mesh", base)
    check_trained(model, base)
