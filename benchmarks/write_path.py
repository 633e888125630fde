"""CPU time of one small write, stage by stage, in one process without a network; writes build/bench/write-path.json.

Run as `python -m benchmarks.write_path [--writes N] [--repeats N]`. A write makes a task of 256 bytes, or sets its
status. Every figure is the best of its repeats, in microseconds of process time a write: neighbours on the machine add
to it, nothing takes away.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import secrets
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import grpc
import uvloop

from benchmarks import report
from benchmarks.report import Row
from weftmesh.agent.__main__ import GC_THRESHOLDS
from weftmesh.agent.board_writes import BoardWrites
from weftmesh.agent.callers import Caller
from weftmesh.agent.command_writer import COMMANDS_PER_ENTRY_MAX
from weftmesh.agent.homes import MESH, Home, Homes
from weftmesh.agent.machines import BoardMachine
from weftmesh.agent.raft.engine import Applied, RaftEngine
from weftmesh.agent.requests import Call
from weftmesh.agent.watching import Watching, WatchPlan
from weftmesh.board.v1 import board_pb2, command_pb2
from weftmesh.core.board.commands import Command, CreateProject, CreateTask, Header, UpdateTask
from weftmesh.core.board.hashing import change_hash, request_hash, task_hash
from weftmesh.core.board.machine import Board
from weftmesh.core.board.model import FieldValue, Limits, Status
from weftmesh.core.board.outcomes import Outcome
from weftmesh.core.board.requests import RequestMemory
from weftmesh.core.board.state import RememberedRequest
from weftmesh.core.clock import HybridClock
from weftmesh.core.ids import new_ulid
from weftmesh.mesh.v1 import raft_pb2
from weftmesh.runtime.clock import wall_ms, wall_us
from weftmesh.runtime.rpc import ErrorInterceptor
from weftmesh.runtime.wire.commands import command_to_bytes, decode_command, encode_command
from weftmesh.runtime.wire.outcomes import applied_message
from weftmesh.runtime.wire.requests import WriteContext, command_from_request
from weftmesh.runtime.wire.resources import task_message

WRITES: Final = 4_096
REPEATS: Final = 7
WATCHERS: Final = (0, 1, 3)
DEADLINE_S: Final = 60.0
PROJECT: Final = "BENCH"
TITLE: Final = "bench"
DESCRIPTION: Final = "x" * 251
ANN: Final = Caller(actor="ann@n1", user="ann", node="")
METHOD: Final = "/weftmesh.board.v1.BoardService/CreateTask"

Run = Callable[[], object]
Make = Callable[[], Run]
"""Prepares one repeat, whose time does not count."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One figure of the table."""

    name: str
    make: Make
    writes: int

    def best_us(self, repeats: int) -> float:
        """Microseconds a write, the best of the repeats."""
        return min(self._once_us() for _ in range(repeats))

    def _once_us(self) -> float:
        run = self.make()
        gc.collect()
        start_ns = time.process_time_ns()
        run()
        return (time.process_time_ns() - start_ns) / 1_000 / self.writes


class Material:
    """The same writes in every form that they take on their way."""

    def __init__(self, writes: int) -> None:
        rng = secrets.SystemRandom()
        self.ids = [new_ulid(wall_ms(), rng) for _ in range(writes)]
        self.project = CreateProject(_header(), PROJECT, "Benchmark")
        self.creates = [_create_request(task_id) for task_id in self.ids]
        self.updates = [_update_request(task_id) for task_id in self.ids]
        self.create_commands: list[Command] = [self._create(task_id) for task_id in self.ids]
        self.update_commands = [self._update(task_id) for task_id in self.ids]

    @staticmethod
    def _create(task_id: str) -> CreateTask:
        return CreateTask(_header(), PROJECT, task_id, {"title": TITLE, "description": DESCRIPTION})

    @staticmethod
    def _update(task_id: str, base: Mapping[str, FieldValue] | None = None, version: int = 0) -> Command:
        return UpdateTask(_header(), task_id, {"status": Status.DOING}, base or {}, version)

    def updates_with_base(self) -> list[Command]:
        """As a form in a browser sends them."""
        return [self._update(task_id, {"status": Status.TODO}, 1) for task_id in self.ids]

    def board(self, *batches: Sequence[Command]) -> Board:
        """A board that has applied `batches`."""
        board = Board()
        board.apply(self.project)
        for commands in batches:
            for command in commands:
                board.apply(command)
        return board

    def machine(self) -> BoardMachine:
        """A board behind a log."""
        machine = BoardMachine(MESH, HybridClock())
        machine.apply(1, _entry([encode_command(self.project)]), 0)
        return machine


def _header() -> Header:
    return Header("ann@n1", wall_ms() << 16, uuid.uuid4().bytes, 7)


def _create_request(task_id: str) -> board_pb2.CreateTaskRequest:
    task = board_pb2.Task(title=TITLE, description=DESCRIPTION)
    return board_pb2.CreateTaskRequest(
        parent=f"projects/{PROJECT}", task_id=task_id, task=task, request_id=str(uuid.uuid4())
    )


def _update_request(task_id: str) -> board_pb2.UpdateTaskRequest:
    task = board_pb2.Task(name=f"projects/{PROJECT}/tasks/{task_id}", status=board_pb2.TASK_STATUS_DOING)
    request = board_pb2.UpdateTaskRequest(task=task, request_id=str(uuid.uuid4()))
    request.update_mask.paths.append("status")
    return request


def _entry(commands: Sequence[command_pb2.BoardCommand]) -> bytes:
    items = [raft_pb2.MachineCommand(board=command) for command in commands]
    return raft_pb2.MachineCommands(commands=items).SerializeToString()


def _entries(commands: Sequence[Command]) -> list[bytes]:
    """Log entries as full as they get."""
    messages = [encode_command(command) for command in commands]
    return [_entry(chunk) for chunk in _chunks(messages, COMMANDS_PER_ENTRY_MAX)]


def _chunks(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _each(function: Callable[[Any], object], items: Sequence[Any]) -> Make:
    """A stage that calls `function` with every item."""

    def run() -> None:
        for item in items:
            function(item)

    return lambda: run


class AppliesAtOnce:
    """As much of a `RaftEngine` as a write needs: the log of one node, in memory, applied in the next iteration."""

    def __init__(self, machine: BoardMachine) -> None:
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
        local = BoardMachine("node:n1", HybridClock())
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


def _decoding(material: Material) -> Iterator[Stage]:
    count = len(material.ids)
    creates = [board_pb2.WriteRequest(sequence=1, create_task=request) for request in material.creates]
    batches = [
        board_pb2.WriteRequest(batch=board_pb2.WriteBatch(writes=chunk)).SerializeToString()
        for chunk in _chunks(creates, COMMANDS_PER_ENTRY_MAX)
    ]
    yield Stage("request: parse a batch of 128", _each(board_pb2.WriteRequest.FromString, batches), count)
    context = WriteContext("ann@n1", "ann", 1, str, lambda name: name.rpartition("/")[2])
    for what, requests in (("create", material.creates), ("update", material.updates)):
        build = _each(lambda request: command_from_request(request, context), requests)
        yield Stage(f"request to command: {what}", build, count)


def _log(material: Material) -> Iterator[Stage]:
    count = len(material.ids)
    for what, commands in (("create", material.create_commands), ("update", material.update_commands)):
        messages = [encode_command(command) for command in commands]
        chunks = list(_chunks(messages, COMMANDS_PER_ENTRY_MAX))
        yield Stage(f"command: encode, {what}", _each(encode_command, commands), count)
        yield Stage(f"command: to bytes, {what}", _each(command_to_bytes, commands), count)
        yield Stage(f"entry: encode 128, {what}", _each(_entry, chunks), count)
        parse = _each(raft_pb2.MachineCommands.FromString, _entries(commands))
        yield Stage(f"entry: parse 128, {what}", parse, count)
        yield Stage(f"command: decode, {what}", _each(decode_command, messages), count)


def _applying(material: Material) -> Iterator[Stage]:
    count, creates, updates = len(material.ids), material.create_commands, material.update_commands

    def apply(commands: Sequence[Command], *before: Sequence[Command]) -> Make:
        return lambda: _each(material.board(*before).apply, commands)()

    yield Stage("apply: create", apply(creates), count)
    yield Stage("apply: update", apply(updates, creates), count)
    yield Stage("apply: update with base", apply(material.updates_with_base(), creates), count)
    again = [UpdateTask(_header(), task_id, {"status": Status.DOING}) for task_id in material.ids]
    yield Stage("apply: unchanged", apply(again, creates, updates), count)
    yield Stage("apply: retry", apply(updates, creates, updates), count)
    frozen = material.board(creates, updates).freeze()
    yield Stage("  of it: task_hash", _each(task_hash, frozen.tasks), count)
    changes = [(task.id, task.history[-1]) for task in frozen.tasks]
    yield Stage("  of it: change_hash", _each(lambda one: change_hash(*one), changes), count)
    answers = frozen.requests[-count:]
    yield Stage("  of it: request_hash", _each(request_hash, answers), count)

    def remember() -> Run:
        memory = RequestMemory()
        for number in range(Limits.REQUESTS_REMEMBERED * 3 // 2):
            memory.remember(number.to_bytes(16, "big"), 1, answers[0].outcome, number)
            memory.forget_old(number)
        return lambda: _remember(memory, answers)

    yield Stage("  of it: a full request memory", remember, count)


def _remember(memory: RequestMemory, answers: Sequence[RememberedRequest]) -> None:
    revision = Limits.REQUESTS_REMEMBERED * 3 // 2
    for one in answers:
        revision += 1
        memory.remember(one.request_id, one.digest, one.outcome, revision)
        memory.forget_old(revision)


def _machine(material: Material) -> Iterator[Stage]:
    for what, commands, before in (
        ("create", material.create_commands, ()),
        ("update", material.update_commands, material.create_commands),
    ):
        entries = _entries(commands)

        def make(entries: list[bytes] = entries, before: Sequence[Command] = before) -> Run:
            machine = material.machine()
            for entry in _entries(before):
                machine.apply(2, entry, 0)
            return _each(lambda entry: machine.apply(3, entry, 0), entries)()

        yield Stage(f"FOLLOWER: bytes to board, {what}", make, len(commands))


def _answering(material: Material) -> Iterator[Stage]:
    board = Board()
    board.apply(material.project)
    outcomes = [board.apply(command)[0] for command in material.create_commands]
    answer = _each(lambda outcome: applied_message(outcome, board).SerializeToString(), outcomes)
    yield Stage("answer: of an outcome, to bytes", answer, len(outcomes))


def _watching(material: Material) -> Iterator[Stage]:
    entries = _entries(material.create_commands)
    for watchers in WATCHERS:

        def make(watchers: int = watchers) -> Run:
            return lambda: uvloop.run(_watched(material, entries, watchers))

        yield Stage(f"FOLLOWER: with {watchers} watchers", make, len(material.ids))


async def _watched(material: Material, entries: list[bytes], watchers: int) -> None:
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


def _calling(material: Material) -> Iterator[Stage]:
    count = len(material.ids)
    in_flight = 64
    for size, resource in ((COMMANDS_PER_ENTRY_MAX, False), (COMMANDS_PER_ENTRY_MAX, True), (1, True)):
        writes = [
            board_pb2.WriteRequest(sequence=1, create_task=request, return_resource=resource)
            for request in material.creates
        ]
        batches = [
            board_pb2.WriteRequest(batch=board_pb2.WriteBatch(writes=chunk)).SerializeToString()
            for chunk in _chunks(writes, size)
        ]

        def stream(batches: list[bytes] = batches) -> Run:
            return lambda: uvloop.run(_streamed(material, batches))

        answer = "the task" if resource else "its revision"
        yield Stage(f"LEADER: stream, {size} a message, {answer}", stream, count)
    yield Stage(
        f"LEADER: unary, {in_flight} in flight", lambda: lambda: uvloop.run(_called(material, in_flight)), count
    )


async def _streamed(material: Material, batches: list[bytes]) -> None:
    async def requests() -> AsyncIterator[board_pb2.WriteRequest]:
        for batch in batches:
            yield board_pb2.WriteRequest.FromString(batch)
            await asyncio.sleep(0)

    node = Node(material)

    def begin(_write: object) -> Call:
        return Call.within(ANN, DEADLINE_S)

    async for response in node.writes.stream(requests(), begin, node.show):
        response.SerializeToString()


async def _called(material: Material, in_flight: int) -> None:
    """Through the interceptor, as gRPC calls it."""
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


def stages(writes: int) -> Iterator[Stage]:
    """Every figure, in the order of a write's way."""
    material = Material(writes)
    for part in (_decoding, _log, _applying, _answering, _machine, _watching, _calling):
        yield from part(material)


def main() -> None:
    """Measure, print and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--writes", type=int, default=WRITES, help="in one repeat")
    parser.add_argument("--repeats", type=int, default=REPEATS, help="the best counts")
    parser.add_argument("--only", default="", help="stages whose name contains this")
    options = parser.parse_args()
    gc.set_threshold(*GC_THRESHOLDS)
    rows = []
    for stage in stages(options.writes):
        if options.only not in stage.name:
            continue
        best_us = stage.best_us(options.repeats)
        print(f"{stage.name:<42} {best_us:8.2f} us", flush=True)
        rows.append(Row(stage.name, "cpu", round(best_us, 2), "us"))
    if not options.only:
        print(f"\n{report.write('write-path', rows, report.machine())}")


if __name__ == "__main__":
    main()
