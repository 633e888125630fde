"""Measures a running mesh: how long a write takes to be committed, and how long until a watcher elsewhere has it.

The writers run in this process, the watcher in another, the nodes in theirs. All clocks are one machine's.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from weftmesh.board.v1 import board_pb2
from weftmesh.cli.bench_watcher import READY
from weftmesh.cli.dev_mesh import DevMesh
from weftmesh.client import Client
from weftmesh.client.requests import new_task_id
from weftmesh.core.errors import WeftmeshError
from weftmesh.runtime.clock import wall_us

SHAPES: Final = ("call", "stream")
CLIENTS: Final = (1, 16, 64)
CLIENTS_MAX: Final = 4_096
DURATION_S: Final = 3.0
WARM_UP_S: Final = 0.5
PAYLOAD_BYTES: Final = 256
WRITE_TIMEOUT_S: Final = 30.0
WATCHER_TIMEOUT_S: Final = 60.0
WATCHER_MODULE: Final = "weftmesh.cli.bench_watcher"
_TITLE: Final = "bench"


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds."""

    p50: float
    p99: float


@dataclass(frozen=True, slots=True)
class SyncResult:
    """One row: so many clients, writing in one shape.

    Attributes:
        commit_ms: from handing a write to the client library to its answer.
        sync_ms: from the commit on the leader, as it measured it, to the watcher on another node; from the writer's
            answer where the commit's time is not known. Never below 0.
        commit_times: share of the events that carried the commit's time.
    """

    shape: str
    clients: int
    commit_ms: Latency
    sync_ms: Latency
    rate_per_s: float
    writes: int
    commit_times: float
    nodes: int
    payload_bytes: int
    fsync: bool
    duration_s: float

    def to_json(self) -> dict[str, Any]:
        """The row as a JSON object with the attributes' names."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class SyncPlan:
    """What to measure."""

    shapes: Sequence[str] = SHAPES
    clients: Sequence[int] = CLIENTS
    duration_s: float = DURATION_S
    payload_bytes: int = PAYLOAD_BYTES


@dataclass(slots=True)
class _Load:
    """The answers so far: (revision, sent_us, answered_us)."""

    answers: list[tuple[int, int, int]]
    measure_from_us: int
    until_us: int

    @property
    def measured(self) -> list[tuple[int, int, int]]:
        return [answer for answer in self.answers if answer[1] >= self.measure_from_us]


async def measure_sync(
    mesh: DevMesh, plan: SyncPlan, on_row: Callable[[SyncResult], None] = lambda _: None
) -> list[SyncResult]:
    """Every shape with every number of clients, one after another.

    The writer talks to a follower and the watcher to another node, as most people do; `on_row` gets each row as it
    comes.
    """
    leader = await mesh.settled()
    followers = [node for name, node in mesh.nodes.items() if name != leader] or [mesh.first]
    writer, watcher = followers[0], followers[-1]
    rows = []
    async with writer.client() as client:
        status = await client.mesh.get_status()
        for shape in plan.shapes:
            for clients in plan.clients:
                project = await _make_project(client)
                row = await _measure(client, str(watcher.socket), project, shape, clients, plan, status.fsync, mesh)
                await client.board.delete_project(board_pb2.DeleteProjectRequest(name=project.name))
                rows.append(row)
                on_row(row)
    return rows


async def _make_project(client: Client) -> board_pb2.Project:
    project_id = f"BENCH_{new_task_id()[-8:]}"
    request = board_pb2.CreateProjectRequest(project_id=project_id, project=board_pb2.Project(title="Benchmark"))
    return await client.board.create_project(request)


async def _measure(
    client: Client,
    watcher_socket: str,
    project: board_pb2.Project,
    shape: str,
    clients: int,
    plan: SyncPlan,
    fsync: bool,
    mesh: DevMesh,
) -> SyncResult:
    # Not asyncio's: under uvloop it forks, at which gRPC complains.
    watcher = subprocess.Popen(  # noqa: ASYNC220, S603, starts at once; our own interpreter and arguments
        [sys.executable, "-m", WATCHER_MODULE, watcher_socket, project.name, str(project.revision)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        await _warm_up(client, project.name, watcher)
        load = await _write(client, project.name, shape, clients, plan)
        last = max(revision for revision, _, _ in load.answers)
        printed, _ = await asyncio.to_thread(watcher.communicate, f"{last}\n", WATCHER_TIMEOUT_S)
    finally:
        watcher.kill()
        watcher.wait()
    measured = load.measured
    sync_ms, commit_times = _sync_ms(measured, printed)
    return SyncResult(
        shape=shape,
        clients=clients,
        commit_ms=_latency([(answered_us - sent_us) / 1_000 for _, sent_us, answered_us in measured]),
        sync_ms=_latency(sync_ms),
        rate_per_s=round(len(measured) / plan.duration_s, 1),
        writes=len(measured),
        commit_times=commit_times,
        nodes=len(mesh.nodes),
        payload_bytes=plan.payload_bytes,
        fsync=fsync,
        duration_s=plan.duration_s,
    )


async def _warm_up(client: Client, parent: str, watcher: subprocess.Popen[str]) -> None:
    """Return once the watcher got a first event: a backlog from before it was there is not what is measured.

    Raises:
        WeftmeshError: the watcher ended.
    """
    task = board_pb2.Task(title=_TITLE)
    await client.board.create_task(board_pb2.CreateTaskRequest(parent=parent, task=task), timeout_s=WRITE_TIMEOUT_S)
    assert watcher.stdout is not None  # noqa: S101, it was asked for
    if await asyncio.to_thread(watcher.stdout.readline) != READY:
        raise WeftmeshError("the watching process ended before its first event; what it said is above")


async def _write(client: Client, parent: str, shape: str, clients: int, plan: SyncPlan) -> _Load:
    async def call(request: board_pb2.CreateTaskRequest) -> int:
        return (await client.board.create_task(request, timeout_s=WRITE_TIMEOUT_S)).revision

    async def stream(request: board_pb2.CreateTaskRequest) -> int:
        return (await client.write(request, timeout_s=WRITE_TIMEOUT_S)).revision

    start_us = wall_us() + round(WARM_UP_S * 1e6)
    load = _Load([], start_us, start_us + round(plan.duration_s * 1e6))
    description = "x" * max(plan.payload_bytes - len(_TITLE), 0)
    request = board_pb2.CreateTaskRequest(parent=parent, task=board_pb2.Task(title=_TITLE, description=description))
    send = stream if shape == "stream" else call
    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(_writer(send, request, load))
    return load


async def _writer(
    send: Callable[[board_pb2.CreateTaskRequest], Awaitable[int]], request: board_pb2.CreateTaskRequest, load: _Load
) -> None:
    while (sent_us := wall_us()) < load.until_us:
        revision = await send(request)
        load.answers.append((revision, sent_us, wall_us()))


def _sync_ms(measured: list[tuple[int, int, int]], printed: str) -> tuple[list[float], float]:
    """The way of each measured write to the watcher, and the share whose commit time is known.

    Raises:
        WeftmeshError: the watcher missed a write.
    """
    arrivals = {}
    for line in printed.splitlines():
        revision, receipt_us, commit_us = map(int, line.split())
        arrivals[revision] = (receipt_us, commit_us)
    missing = [revision for revision, _, _ in measured if revision not in arrivals]
    if missing:
        raise WeftmeshError(
            f"{len(missing)} of {len(measured)} writes never came to the watcher, the first: {missing[0]}"
        )
    ways_ms = []
    known = 0
    for revision, _, answered_us in measured:
        receipt_us, commit_us = arrivals[revision]
        known += commit_us > 0
        ways_ms.append(max(receipt_us - (commit_us or answered_us), 0) / 1_000)
    return ways_ms, round(known / max(len(measured), 1), 3)


def _latency(values_ms: list[float]) -> Latency:
    """Nearest-rank quantiles."""
    ranked = sorted(values_ms)
    p50, p99 = (ranked[min(int(len(ranked) * share), len(ranked) - 1)] if ranked else 0.0 for share in (0.5, 0.99))
    return Latency(round(p50, 3), round(p99, 3))
