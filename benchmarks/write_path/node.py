"""A node between gRPC and the log, and those who write to it and watch it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final, cast

import grpc

from benchmarks.write_path.material import PROJECT, Material
from weftmesh.agent.board.homes import MESH, Home, Homes
from weftmesh.agent.board.machines import LogMachines
from weftmesh.agent.board.watching import Watching, WatchPlan
from weftmesh.agent.board.writes import BoardWrites
from weftmesh.agent.raft.engine import Applied, RaftEngine
from weftmesh.agent.serving.callers import Caller
from weftmesh.agent.serving.requests import Call
from weftmesh.board.v1 import board_pb2
from weftmesh.core.board.outcomes import Outcome
from weftmesh.core.clock import HybridClock
from weftmesh.core.ids import new_ulid
from weftmesh.runtime.clock import wall_ms, wall_us
from weftmesh.runtime.rpc import ErrorInterceptor
from weftmesh.runtime.wire.resources import task_message

DEADLINE_S: Final = 60.0
ANN: Final = Caller(actor="ann@n1", user="ann", node="")
METHOD: Final = "/weftmesh.board.v1.BoardService/CreateTask"


class AppliesAtOnce:
    """As much of a `RaftEngine` as a write needs: the log of one node, in memory, applied in the next iteration."""

    def __init__(self, machine: LogMachines) -> None:
        self._machine = machine
        self._index = 1

    async def propose(self, command: bytes, timeout_s: float) -> Applied:
        """Apply the command, after a turn of the event loop."""
        del timeout_s
        await asyncio.sleep(0)
        self._index += 1
        return Applied(self._index, self._machine.apply(self._index, command, wall_us()))


class Node:
    """Everything between gRPC and the Raft engine."""

    def __init__(self, material: Material) -> None:
        machine = material.machine()
        engine = cast("RaftEngine", AppliesAtOnce(machine))
        self.home = Home(MESH, machine, engine, pending_writes_max=100_000)
        local = LogMachines("node:n1", HybridClock())
        homes = Homes(self.home, Home("node:n1", local, cast("RaftEngine", AppliesAtOnce(local)), 1))
        rng = secrets.SystemRandom()
        self.writes = BoardWrites(homes, HybridClock(), lambda: new_ulid(wall_ms(), rng))

    async def create_task(self, request: board_pb2.CreateTaskRequest, _context: object) -> board_pb2.Task:
        """As the servicer answers a unary call."""
        _, outcome = await self.writes.write(request, Call.within(ANN, DEADLINE_S))
        return self._task_of(outcome)

    def show(self, _request: object, _home: Home, outcome: Outcome, applied: board_pb2.WriteApplied) -> None:
        """As the servicer shows what a streamed write left."""
        applied.task.CopyFrom(self._task_of(outcome))

    def _task_of(self, outcome: Outcome) -> board_pb2.Task:
        task = self.home.board.find_task(outcome.subject)
        assert task is not None  # noqa: S101, it was just made
        return task_message(self.home.board.task_at(task, outcome.revision) or task, self.home.project_of)


async def watched(material: Material, entries: list[bytes], watchers: int) -> None:
    """Apply `entries` on a node with `watchers` until each of them has every event."""
    node = Node(material)
    last = 1 + len(material.ids)
    tasks = [asyncio.create_task(_watch(node.home, last)) for _ in range(watchers)]
    await asyncio.sleep(0)
    for entry in entries:
        node.home.machine.apply(2, entry, wall_us())
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)


async def _watch(home: Home, last: int) -> None:
    plan = WatchPlan(PROJECT, home.board.revision, send_initial_state=False, progress_interval_s=DEADLINE_S)
    async for message in Watching(home, plan, board_pb2.Freshness).messages():
        message.SerializeToString()
        if message.events[-1].revision == last:
            return


async def streamed(material: Material, batches: list[bytes]) -> None:
    """Send serialized requests down one Write stream until all are answered."""

    async def requests() -> AsyncIterator[board_pb2.WriteRequest]:
        for batch in batches:
            yield board_pb2.WriteRequest.FromString(batch)
            await asyncio.sleep(0)

    node = Node(material)

    def begin(_write: object) -> Call:
        return Call.within(ANN, DEADLINE_S)

    async for response in node.writes.stream(requests(), begin, node.show):
        response.SerializeToString()


async def called(material: Material, in_flight: int) -> None:
    """Make every task by a unary call, through the interceptor as gRPC calls it."""
    node = Node(material)
    handler = grpc.unary_unary_rpc_method_handler(
        node.create_task, board_pb2.CreateTaskRequest.FromString, board_pb2.Task.SerializeToString
    )

    async def continuation(_details: object) -> grpc.RpcMethodHandler[Any, Any]:
        return handler

    details = cast("grpc.HandlerCallDetails", _Details())
    interceptor = ErrorInterceptor()
    pending = iter([request.SerializeToString() for request in material.creates])

    async def caller() -> None:
        for data in pending:
            wrapped: Any = await interceptor.intercept_service(continuation, details)
            answer = await wrapped.unary_unary(wrapped.request_deserializer(data), None)
            wrapped.response_serializer(answer)

    await asyncio.gather(*[caller() for _ in range(in_flight)])


@dataclass(frozen=True, slots=True)
class _Details:
    method: str = METHOD
    invocation_metadata: tuple[()] = ()
