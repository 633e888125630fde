"""Concurrent clients on every node: reads, writes and compare-and-set on registers, and plain creations.

A register is a task's estimate. Every value is written once only, and the project refuses any write against an older
version, so an update with an etag is a compare-and-set from the value that was seen with it.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.checkers.linearizability import Operation
from tests.faults.record import Answered, Record

from weftmesh.board.v1 import board_pb2
from weftmesh.client import Client
from weftmesh.client.requests import new_request_id
from weftmesh.core.errors import (
    ConflictError,
    NodeUnreachableError,
    NoQuorumError,
    OverloadedError,
    UnknownOutcomeError,
    WeftmeshError,
)

FRESH = board_pb2.READ_CONSISTENCY_LINEARIZABLE
REGISTERS = 8
REGISTER_CLIENTS_PER_NODE = 2
THINK_S = (0.01, 0.06)
"""Between two operations of a client: the mesh shall be busy, and the histories short enough to be checked."""
CREATE_EVERY_S = 0.1
FRESH_READ_EVERY_S = 0.05
FRESH_READS_MAX = 250
"""Reads of one node that wait at once, beside those of its register clients."""

NOT_APPLIED = (NoQuorumError, OverloadedError)
"""Errors that say that nothing was changed; that the write never shows up is checked."""
DOUBTFUL = (UnknownOutcomeError, NodeUnreachableError)


@dataclass(frozen=True, slots=True)
class Seen:
    """A register as a client last saw it."""

    value: float
    etag: str


@dataclass
class Load:
    """The clients of one round.

    Attributes:
        clients: one for each node.
        project: its resource name.
        registers: names of the tasks whose estimates are read and written; all begin at 0.
        record: what the clients were told.
        timeout_s: of one operation, retries included.
    """

    clients: Mapping[str, Client]
    project: str
    registers: Sequence[str]
    record: Record
    random: random.Random
    timeout_s: float
    _values: Any = field(default_factory=lambda: itertools.count(1))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The clients work for as long as the block runs; whatever is under way then has an unknown outcome."""
        works = [work for node, client in self.clients.items() for work in self._works(node, client)]
        tasks = [asyncio.create_task(work) for work in works]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            for result in results:
                if isinstance(result, Exception):
                    raise result

    def _works(self, node: str, client: Client) -> list[Coroutine[Any, Any, None]]:
        works = [self._use_registers(node, client, number) for number in range(REGISTER_CLIENTS_PER_NODE)]
        return [*works, self._create(node, client), self._read_fresh(node, client)]

    async def _use_registers(self, node: str, client: Client, number: int) -> None:
        """One operation after the other, on registers chosen at random."""
        seen: dict[str, Seen] = {}
        for turn in itertools.count():
            name = self.random.choice(self.registers)
            process = f"{node}/{number}/{turn}"
            kind = self.random.choices(("read", "cas", "write"), (3, 5, 2))[0]
            if kind == "read" or (kind == "cas" and name not in seen):
                found = await self.read(process, client, name)
            else:
                found = await self._write(process, node, client, name, seen.get(name) if kind == "cas" else None)
            if found is None:
                seen.pop(name, None)
            else:
                seen[name] = found
            await asyncio.sleep(self.random.uniform(*THINK_S))

    async def read(self, process: str, client: Client, name: str) -> Seen | None:
        """Read a register; None without an answer."""
        begun_s = time.monotonic()
        request = board_pb2.GetTaskRequest(name=name, consistency=FRESH)
        try:
            task = await client.board.get_task(request, timeout_s=self.timeout_s)
        except (*NOT_APPLIED, *DOUBTFUL):
            self.record.unread += 1
            return None
        except WeftmeshError as error:
            self.record.unexpected[f"read: {error.reason}: {error}"] += 1
            return None
        self._did(name, Operation(process, "read", None, task.estimate, begun_s, time.monotonic()))
        return Seen(task.estimate, task.etag)

    async def _write(self, process: str, node: str, client: Client, name: str, base: Seen | None) -> Seen | None:
        """Write a value of its own, if the register is still as it was seen; None if that is not how it ended."""
        value = float(next(self._values))
        task = board_pb2.Task(name=name, estimate=value, etag=base.etag if base else "")
        request = board_pb2.UpdateTaskRequest(task=task, request_id=new_request_id())
        request.update_mask.paths.append("estimate")
        kind: Literal["cas", "write"] = "cas" if base else "write"
        argument = (base.value, value) if base else value
        begun_s = time.monotonic()

        def did(result: bool, returned_s: float | None) -> None:
            self._did(name, Operation(process, kind, argument, result, begun_s, returned_s))

        try:
            etag = await self._sent(client, request)
        except NOT_APPLIED:
            self.record.refused += 1
        except DOUBTFUL:
            self.record.unknown += 1
            did(False, None)
        except ConflictError as error:
            if base is None:
                self.record.unexpected[f"unconditional write: {error.reason}: {error}"] += 1
            did(False, time.monotonic())
        except WeftmeshError as error:
            self.record.unexpected[f"write: {error.reason}: {error}"] += 1
        except asyncio.CancelledError:
            did(False, None)
            raise
        else:
            did(True, time.monotonic())
            self._acknowledged(request.request_id, name, begun_s, node)
            if base:
                self.record.conditional.add(request.request_id)
            return Seen(value, etag)
        return None

    async def _sent(self, client: Client, request: board_pb2.UpdateTaskRequest) -> str:
        """Send by the unary call or over the stream, as chance has it; the new etag."""
        if self.random.random() < 0.5:
            return (await client.board.update_task(request, timeout_s=self.timeout_s)).etag
        return (await client.write(request, timeout_s=self.timeout_s)).etag

    async def _create(self, node: str, client: Client) -> None:
        """Make tasks that are known by their request id alone."""
        for number in itertools.count(1):
            request = board_pb2.CreateTaskRequest(
                parent=self.project, task=board_pb2.Task(title=f"{node}, {number}"), request_id=new_request_id()
            )
            begun_s = time.monotonic()
            try:
                task = await client.board.create_task(request, timeout_s=self.timeout_s)
            except NOT_APPLIED:
                self.record.refused += 1
            except (*DOUBTFUL, asyncio.CancelledError) as error:
                self.record.doubtful.append(request)
                if isinstance(error, asyncio.CancelledError):
                    raise
            except WeftmeshError as error:
                self.record.unexpected[f"create: {error.reason}: {error}"] += 1
            else:
                self._acknowledged(request.request_id, task.name, begun_s, node)
            await asyncio.sleep(CREATE_EVERY_S)

    async def _read_fresh(self, node: str, client: Client) -> None:
        """Begin a read every so often whether the ones before were answered or not: a node that wakes up finds them."""
        async with asyncio.TaskGroup() as reads:
            waiting: set[asyncio.Task[Seen | None]] = set()
            for number in itertools.count():
                if len(waiting) < FRESH_READS_MAX:
                    name = self.random.choice(self.registers)
                    task = reads.create_task(self.read(f"{node}/fresh/{number}", client, name))
                    waiting.add(task)
                    task.add_done_callback(waiting.discard)
                await asyncio.sleep(FRESH_READ_EVERY_S)

    async def create_bulk(self, node: str, count: int, size_bytes: int) -> None:
        """Make tasks with long descriptions, all at once; what has no answer is of no account."""
        begun_s = time.monotonic()
        requests = [
            board_pb2.CreateTaskRequest(
                parent=self.project,
                task=board_pb2.Task(title=f"bulk {next(self._values)}", description="x" * size_bytes),
                request_id=new_request_id(),
            )
            for _ in range(count)
        ]
        answers = await self.clients[node].write_many(requests, timeout_s=self.timeout_s)
        for request, answer in zip(requests, answers, strict=True):
            if isinstance(answer, board_pb2.WriteApplied):
                self._acknowledged(request.request_id, answer.name, begun_s, node)
            elif not isinstance(answer, (*NOT_APPLIED, *DOUBTFUL)):
                self.record.unexpected[f"bulk: {answer.reason}: {answer}"] += 1

    async def ask_again(self) -> list[str]:
        """Send every creation of unknown outcome again, to another node as well as may be; what was not answered."""
        nodes, unanswered = list(self.clients), []
        for request in self.record.doubtful:
            client = self.clients[self.random.choice(nodes)]
            try:
                task = await client.board.create_task(request)
            except WeftmeshError as error:
                unanswered.append(f"a creation that was asked for again: {error.reason}: {error}")
            else:
                self.record.acknowledged[request.request_id] = task.name
        return unanswered

    def _did(self, name: str, operation: Operation) -> None:
        self.record.histories[name].append(operation)

    def _acknowledged(self, request_id: str, name: str, begun_s: float, node: str) -> None:
        self.record.acknowledged[request_id] = name
        self.record.answered.append(Answered(begun_s, time.monotonic(), node, request_id))


@dataclass(frozen=True, slots=True)
class Made:
    """A project for one round: its resource name, its registers' names, and the revision they were all there."""

    name: str
    registers: list[str]
    revision: int


async def make_project(client: Client, project_id: str) -> Made:
    """Make a project with registers in it."""
    policy = board_pb2.MERGE_POLICY_REJECT
    project = board_pb2.Project(title="registers and plain tasks", merge_policy=policy)
    made = await client.board.create_project(board_pb2.CreateProjectRequest(project_id=project_id, project=project))
    registers = [board_pb2.Task(title=f"register {number}", estimate=0.0) for number in range(REGISTERS)]
    requests = [board_pb2.CreateTaskRequest(parent=made.name, task=register) for register in registers]
    tasks = [await client.board.create_task(request) for request in requests]
    return Made(made.name, [task.name for task in tasks], max(task.revision for task in tasks))
