"""A training over sixteen node processes: mTLS, secure aggregation, Raft, each model on a majority of the voters."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.learning import dataset
from benchmarks.learning.mesh_of_16 import beside, fill, nodes_of
from benchmarks.learning.plain_rounds import plain_rounds_s
from benchmarks.report import Row
from weftmesh.cli.dev_node import DevNode
from weftmesh.coordinator.registry import VIEW_LIMIT, JobState, read_job
from weftmesh.core.errors import NoQuorumError
from weftmesh.core.forecast.effort import EffortModel
from weftmesh.core.forecast.model_bytes import decode_model
from weftmesh.core.learning.model import Round, RoundKind, RoundStage
from weftmesh.learning.v1 import command_pb2, learning_pb2

JOB: Final = "effort"
BEFORE_TRAINING: Final = 2
"""Versions: the seed, and the untrained model."""
UPDATE_CLIP: Final = 2.0
PLAIN_ROUNDS: Final = 15
NODES: Final = 16
POLL_S: Final = 1.0
CONNECTED_S: Final = 60.0
ROUND_S_MAX: Final = 60.0
"""A training that takes longer than this a round is given up."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training over processes came to.

    Attributes:
        model: its last version.
        secure_s: seconds of each training round, from its opening to the version that it made.
        abandoned: how many rounds made nothing.
        contributors_min: the fewest in a sum.
        plain_s: seconds of each round of plain averaging over the same nodes.
        model_bytes: of each version.
    """

    model: EffortModel
    secure_s: Sequence[float]
    abandoned: int
    contributors_min: int
    plain_s: Sequence[float]
    model_bytes: int


async def train(rounds: int, voters: int, say: Callable[[str], None], nodes_max: int = NODES) -> Trained:
    """Start a node for each project, fill them, train, and stop them.

    Args:
        rounds: of training.
        voters: the first nodes; the others observe.
        say: told what happens.
        nodes_max: with fewer, the first projects alone.
    """
    files = dataset.files()[:nodes_max]
    with TemporaryDirectory(prefix="weftmesh-") as directory:
        async with nodes_of(Path(directory), len(files), voters) as (mesh, nodes):
            say(f"{len(nodes)} nodes run, {voters} of them vote")
            labels = await asyncio.gather(*(fill(node, path) for node, path in zip(nodes, files, strict=True)))
            say(f"{sum(labels)} labels to train on")
            leader = mesh.node(await mesh.settled())
            await _connected(leader, len(nodes))
            async with beside(nodes[:voters], "weftmesh.coordinator", _to_socket):
                await _define(leader, rounds)
                state = await _trained(leader, rounds, say)
            say("plain averaging")
            plain_s = await plain_rounds_s(leader, nodes, PLAIN_ROUNDS)
            return await _result(leader, state, plain_s)


def rows_of(found: Trained) -> list[Row]:
    """The time of a round, beside plain averaging."""
    rows = []
    for metric, secure, plain in zip(
        ("time", "time p95"), _figures(found.secure_s), _figures(found.plain_s), strict=True
    ):
        rows.append(Row("round of 16 nodes", metric, secure, "s", "plain averaging", plain, secure / plain))
    rows.append(Row("round of 16 nodes", "model", float(found.model_bytes), "bytes"))
    rows.append(Row("rounds that made nothing", "count", float(found.abandoned), "rounds"))
    return rows


def lines_of(found: Trained) -> str:
    """For people."""
    (secure, secure_p95), (plain, plain_p95) = _figures(found.secure_s), _figures(found.plain_s)
    return (
        f"round of 16 nodes: median {secure:.3f} s, p95 {secure_p95:.3f} s over {len(found.secure_s)} rounds; plain "
        f"averaging over the same nodes: median {plain:.3f} s, p95 {plain_p95:.3f} s over {len(found.plain_s)}; "
        f"at least {found.contributors_min} contributors in each sum, {found.abandoned} rounds made nothing, a model "
        f"has {found.model_bytes} bytes"
    )


def _figures(times_s: Sequence[float]) -> tuple[float, float]:
    """Median and 95th percentile."""
    return median(times_s), quantiles(times_s, n=20, method="inclusive")[-1] if len(times_s) > 1 else times_s[0]


def _to_socket(node: DevNode) -> list[str]:
    return ["--socket", str(node.socket)]


async def _connected(leader: DevNode, count: int) -> None:
    async with asyncio.timeout(CONNECTED_S), leader.client() as client:
        while True:
            if len((await client.learning.get_learning()).contributors) == count:
                return
            await asyncio.sleep(POLL_S)


async def _define(leader: DevNode, rounds: int) -> None:
    spec = learning_pb2.JobSpec(head="effort", goal_version=rounds + BEFORE_TRAINING, update_clip=UPDATE_CLIP)
    job = command_pb2.DefineJob(job=JOB, contributors_floor=3, threshold_percent=60, spec=spec.SerializeToString())
    async with leader.client() as client:
        await client.learning.change_learning(learning_pb2.ChangeLearningRequest(define_job=job))


async def _trained(leader: DevNode, rounds: int, say: Callable[[str], None]) -> JobState:
    told, goal = 0, rounds + BEFORE_TRAINING
    async with asyncio.timeout(ROUND_S_MAX * (rounds + BEFORE_TRAINING)), leader.client() as client:
        while True:
            view = await client.learning.get_learning(learning_pb2.GetLearningRequest(job=JOB, limit=VIEW_LIMIT))
            state = read_job(view, JOB)
            if state is None:
                raise NoQuorumError("the job is gone")
            if state.job.newest_version >= told + 10:
                told = state.job.newest_version
                say(f"version {told} of {goal}")
            if goal in state.evaluations:
                return state
            await asyncio.sleep(POLL_S)


async def _result(leader: DevNode, state: JobState, plain_s: Sequence[float]) -> Trained:
    newest = state.versions[state.job.newest_version]
    async with leader.client() as client:
        model = await client.learning.get_model(newest.sha256)
    done = [one for one in state.rounds.values() if one.stage is RoundStage.DONE and one.kind is RoundKind.TRAINING]
    return Trained(
        model=decode_model(model),
        secure_s=[_duration_s(one) for one in done],
        abandoned=sum(one.stage is RoundStage.ABANDONED for one in state.rounds.values()),
        contributors_min=min(len(intent.active) for intent in state.intents.values()),
        plain_s=plain_s,
        model_bytes=len(model),
    )


def _duration_s(one: Round) -> float:
    """From the log's own stamps: milliseconds since 1970 in the high 48 bits."""
    return ((one.ended_stamp >> 16) - (one.opened_stamp >> 16)) / 1_000
