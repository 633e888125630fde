"""The stages of a write's way, and how each is measured."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import uvloop

from benchmarks.write_path.material import Material, chunks_of, entries_of, entry_of, header
from benchmarks.write_path.node import called, streamed, watched
from weftmesh.agent.board.command_writer import COMMANDS_PER_ENTRY_MAX
from weftmesh.board.v1 import board_pb2
from weftmesh.core.board.commands import Command, UpdateTask
from weftmesh.core.board.hashing import change_hash, request_hash, task_hash
from weftmesh.core.board.machine import Board
from weftmesh.core.board.model import Limits, Status
from weftmesh.core.board.requests import RequestMemory
from weftmesh.core.board.state import RememberedRequest
from weftmesh.mesh.v1 import raft_pb2
from weftmesh.runtime.wire.commands import command_to_bytes, decode_command, encode_command
from weftmesh.runtime.wire.outcomes import applied_message
from weftmesh.runtime.wire.requests import WriteContext, command_from_request

Run = Callable[[], object]
Make = Callable[[], Run]
"""Prepares one repeat, whose time does not count."""

WATCHERS: Final = (0, 1, 3)
UNARY_IN_FLIGHT: Final = 64


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


def _each(function: Callable[[Any], object], items: Sequence[Any]) -> Make:
    """A stage that calls `function` with every item."""

    def run() -> None:
        for item in items:
            function(item)

    return lambda: run


def stages(writes: int) -> Iterator[Stage]:
    """Every figure, in the order of a write's way."""
    material = Material(writes)
    for part in (_decoding, _log, _applying, _answering, _machine, _watching, _calling):
        yield from part(material)


def _decoding(material: Material) -> Iterator[Stage]:
    count = len(material.ids)
    creates = [board_pb2.WriteRequest(sequence=1, create_task=request) for request in material.creates]
    batches = [
        board_pb2.WriteRequest(batch=board_pb2.WriteBatch(writes=chunk)).SerializeToString()
        for chunk in chunks_of(creates, COMMANDS_PER_ENTRY_MAX)
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
        chunks = list(chunks_of(messages, COMMANDS_PER_ENTRY_MAX))
        yield Stage(f"command: encode, {what}", _each(encode_command, commands), count)
        yield Stage(f"command: to bytes, {what}", _each(command_to_bytes, commands), count)
        yield Stage(f"entry: encode 128, {what}", _each(entry_of, chunks), count)
        parse = _each(raft_pb2.MachineCommands.FromString, entries_of(commands))
        yield Stage(f"entry: parse 128, {what}", parse, count)
        yield Stage(f"command: decode, {what}", _each(decode_command, messages), count)


def _applying(material: Material) -> Iterator[Stage]:
    count, creates, updates = len(material.ids), material.create_commands, material.update_commands

    def apply(commands: Sequence[Command], *before: Sequence[Command]) -> Make:
        return lambda: _each(material.board(*before).apply, commands)()

    yield Stage("apply: create", apply(creates), count)
    yield Stage("apply: update", apply(updates, creates), count)
    yield Stage("apply: update with base", apply(material.updates_with_base(), creates), count)
    again = [UpdateTask(header(), task_id, {"status": Status.DOING}) for task_id in material.ids]
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
        entries = entries_of(commands)

        def make(entries: list[bytes] = entries, before: Sequence[Command] = before) -> Run:
            machine = material.machine()
            for entry in entries_of(before):
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
    entries = entries_of(material.create_commands)
    for watchers in WATCHERS:

        def make(watchers: int = watchers) -> Run:
            return lambda: uvloop.run(watched(material, entries, watchers))

        yield Stage(f"FOLLOWER: with {watchers} watchers", make, len(material.ids))


def _calling(material: Material) -> Iterator[Stage]:
    count = len(material.ids)
    for size, resource in ((COMMANDS_PER_ENTRY_MAX, False), (COMMANDS_PER_ENTRY_MAX, True), (1, True)):
        writes = [
            board_pb2.WriteRequest(sequence=1, create_task=request, return_resource=resource)
            for request in material.creates
        ]
        batches = [
            board_pb2.WriteRequest(batch=board_pb2.WriteBatch(writes=chunk)).SerializeToString()
            for chunk in chunks_of(writes, size)
        ]

        def stream(batches: list[bytes] = batches) -> Run:
            return lambda: uvloop.run(streamed(material, batches))

        answer = "the task" if resource else "its revision"
        yield Stage(f"LEADER: stream, {size} a message, {answer}", stream, count)

    def unary() -> Run:
        return lambda: uvloop.run(called(material, UNARY_IN_FLIGHT))

    yield Stage(f"LEADER: unary, {UNARY_IN_FLIGHT} in flight", unary, count)
