"""The same nodes, transport, Flower and training, without secure aggregation and without the log: the lower bound."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, time
from typing import Final

from benchmarks.learning.mesh_of_16 import beside, project_of
from benchmarks.learning.plain_learner import READY
from weftmesh.cli.dev_node import DevNode
from weftmesh.coordinator.courier import Courier
from weftmesh.coordinator.grid import MeshGrid
from weftmesh.coordinator.mesh_rounds import Office
from weftmesh.coordinator.model_steps import EffortStep
from weftmesh.coordinator.registry import VIEW_LIMIT
from weftmesh.coordinator.strategy import SteppingFedAvg
from weftmesh.coordinator.training_round import run_round
from weftmesh.core.learning.model import RoundKind
from weftmesh.learning.v1 import learning_pb2
from weftmesh.runtime.round_settings import RoundSettings

JOB: Final = "effort"
ROUND_TIMEOUT_S: Final = 100.0
LEARNERS_START_S: Final = 180.0
ATTEND_S: Final = 3.0
"""From when a learner is ready until its node has it."""
POLL_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class _Exchange:
    """Implements `courier.Exchange` for questions that belong to no round."""

    office: Office
    round_id: bytes

    async def deliver(self, node: str, payload: bytes, timeout_s: float) -> bytes:
        request = learning_pb2.ExchangeRequest(
            node=node,
            job=JOB,
            round_id=self.round_id,
            coordinator=self.office.coordinator,
            payload=payload,
            timeout_ms=round(timeout_s * 1_000),
        )
        return (await self.office.learning.exchange(request)).payload


async def plain_rounds_s(leader: DevNode, nodes: Sequence[DevNode], rounds: int) -> list[float]:
    """Seconds of each round, from the job's untrained model on; the first one, in which learners start, is left out."""
    async with _plain_learners(nodes), leader.client() as client:
        duty = await anext(client.learning.watch_duty())
        office = Office(client.learning, asyncio.get_running_loop(), duty.node, duty.term)
        view = await client.learning.get_learning(learning_pb2.GetLearningRequest(job=JOB, limit=VIEW_LIMIT))
        model = await client.learning.get_model(max(view.versions, key=lambda one: one.number).sha256)
        config = RoundSettings("effort", RoundKind.TRAINING, update_clip=2.0, as_of_s=float(int(time()))).to_config()
        courier = Courier(office.loop, _Exchange(office, secrets.token_bytes(16)), lambda: True)
        strategy = SteppingFedAvg(EffortStep(), contributors_min=len(nodes))
        grid = MeshGrid(courier, [node.name for node in nodes])
        times_s = []
        for _ in range(rounds + 1):
            begin_s = perf_counter()
            model = (await asyncio.to_thread(run_round, strategy, grid, model, config, ROUND_TIMEOUT_S)).model
            times_s.append(perf_counter() - begin_s)
        return times_s[1:]


@asynccontextmanager
async def _plain_learners(nodes: Sequence[DevNode]) -> AsyncIterator[None]:
    """Learners that train in the clear, in the place of the product's, which are ended."""
    for node in nodes:
        _end_learners(node)
        (node.directory / "plain").mkdir()

    def options(node: DevNode) -> list[str]:
        return [str(node.socket), str(node.directory / "plain"), project_of(node)]

    async with beside(nodes, "benchmarks.learning.plain_learner", options):
        async with asyncio.timeout(LEARNERS_START_S):
            while True:
                if all((node.directory / "plain" / READY).exists() for node in nodes):
                    break
                await asyncio.sleep(POLL_S)
        await asyncio.sleep(ATTEND_S)
        yield


def _end_learners(node: DevNode) -> None:
    """Kill the product's learner of a node; its activator starts another one only when it is asked for."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = path.read_bytes().split(b"\0")
            # The activator has the learner's command on its own line, and an option -I.
            if b"weftmesh.learner" in words and os.fsencode(node.socket) in words and b"-I" not in words:
                os.kill(int(path.parent.name), signal.SIGKILL)
