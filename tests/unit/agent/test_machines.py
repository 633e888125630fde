"""The board behind a log: what is in an entry decides, and nothing in an entry can stop a node."""

from __future__ import annotations

import random
import uuid
from collections.abc import Sequence

from tests.unit.core.board.writer import ulid

from weftmesh.agent.board.machines import LogMachines
from weftmesh.core.board.commands import Command, CreateProject, CreateTask, Header, UpdateTask
from weftmesh.core.board.model import Status
from weftmesh.core.board.outcomes import Event, OutcomeKind, TaskChanged
from weftmesh.core.clock import HybridClock, ms_to_stamp
from weftmesh.mesh.v1 import raft_pb2
from weftmesh.runtime.clock import wall_ms
from weftmesh.runtime.wire.commands import encode_command

COMMIT_US = 1_700_000_000_000_000


def header(stamp: int = 1) -> Header:
    return Header("ann@n1", stamp, uuid.uuid4().bytes, 7)


def entry(*commands: Command) -> bytes:
    return raft_pb2.MachineCommands(
        commands=[raft_pb2.MachineCommand(board=encode_command(command)) for command in commands]
    ).SerializeToString()


PROJECT = CreateProject(header(), "PROJ", "Project")


def task(number: int, title: str = "a task") -> CreateTask:
    return CreateTask(header(), "PROJ", ulid(number), {"title": title, "labels": frozenset({"a", "b"})})


def machine_with_tasks(count: int) -> LogMachines:
    machine = LogMachines("mesh", HybridClock())
    machine.apply(1, entry(PROJECT, *(task(number) for number in range(count))), COMMIT_US)
    return machine


def test_an_entry_gives_one_outcome_for_each_command_in_order() -> None:
    machine = LogMachines("mesh", HybridClock())

    outcomes = machine.apply(1, entry(PROJECT, task(1), task(1), task(2)), COMMIT_US)

    kinds = [outcome.kind for outcome in outcomes]
    assert kinds == [OutcomeKind.APPLIED, OutcomeKind.APPLIED, OutcomeKind.ALREADY_EXISTS, OutcomeKind.APPLIED]
    assert [outcome.revision for outcome in outcomes] == [1, 2, 2, 3]


def test_an_entry_that_does_not_parse_is_refused() -> None:
    machine = machine_with_tasks(1)
    before = machine.board.state_hash

    (outcome,) = machine.apply(2, b"\xff\xff\xff", COMMIT_US)

    assert outcome.kind is OutcomeKind.INVALID
    assert "entry 2" in outcome.message
    assert machine.board.state_hash == before


def test_a_command_for_an_unknown_machine_is_refused_and_its_neighbours_are_applied() -> None:
    machine = machine_with_tasks(0)
    unknown = raft_pb2.MachineCommands(commands=[raft_pb2.MachineCommand()]).SerializeToString()

    outcomes = machine.apply(2, entry(task(1)) + unknown + entry(task(2)), COMMIT_US)

    assert [outcome.ok for outcome in outcomes] == [True, False, True]
    assert "upgrade" in outcomes[1].message
    assert machine.board.task_count == 2


def test_no_bytes_make_a_replica_raise_or_differ_from_another() -> None:
    good = entry(PROJECT, task(1), UpdateTask(header(), ulid(1), {"status": Status.DONE, "custom.k": "v"}, version=1))
    chance = random.Random(11)
    one, other = LogMachines("mesh", HybridClock()), LogMachines("mesh", HybridClock())
    one.apply(0, good, 0)
    other.apply(0, good, 0)
    for index in range(1_000):
        damaged = bytearray(good)
        for _ in range(chance.randint(1, 4)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        cut = bytes(damaged[: chance.randint(0, len(damaged))] if chance.random() < 0.2 else damaged)
        assert one.apply(index, cut, 0) == other.apply(index, cut, 0)
    one.board.check()
    assert one.board.state_hash == other.board.state_hash


def test_a_snapshot_restores_the_same_board() -> None:
    machine = machine_with_tasks(20)
    machine.apply(2, entry(UpdateTask(header(), ulid(3), {"title": "other words"}, version=1)), COMMIT_US)
    rows = machine.snapshot()
    frozen_hash = machine.board.state_hash
    machine.apply(3, entry(task(50)), COMMIT_US)

    restored = LogMachines("mesh", HybridClock())
    restored.prepare_restore(rows())()

    restored.board.check()
    assert restored.board.state_hash == frozen_hash
    restored.apply(3, entry(task(50)), COMMIT_US)
    assert restored.board.task_count == machine.board.task_count


def test_events_reach_listeners_once_for_each_entry_with_the_commit_time() -> None:
    machine = machine_with_tasks(0)
    heard: list[tuple[Sequence[Event], int]] = []
    machine.on_applied(lambda events, commit_time_us: heard.append((events, commit_time_us)))

    machine.apply(2, entry(task(1), task(2)), COMMIT_US)
    machine.apply(3, entry(task(2)), COMMIT_US + 1)
    machine.apply(4, entry(task(3)), 0)

    assert [(len(events), commit_time_us) for events, commit_time_us in heard] == [(2, COMMIT_US), (1, 0)]
    assert all(isinstance(event, TaskChanged) for events, _ in heard for event in events)


def test_a_restore_is_announced() -> None:
    machine, other = machine_with_tasks(1), machine_with_tasks(2)
    restored_to: list[int] = []
    machine.on_restored(lambda: restored_to.append(machine.board.revision))

    machine.prepare_restore(other.snapshot()())()

    assert restored_to == [3]


def test_the_clock_follows_what_others_wrote() -> None:
    clock = HybridClock()
    machine = LogMachines("mesh", clock)
    ahead = ms_to_stamp(wall_ms() + 10_000)

    machine.apply(1, entry(CreateProject(header(stamp=ahead), "PROJ", "Project")), COMMIT_US)

    assert clock.tick(wall_ms()) > ahead


def test_a_task_of_a_project_that_lives_elsewhere_never_enters_this_log() -> None:
    machine = LogMachines("mesh", HybridClock())
    elsewhere = CreateProject(header(), "SECRET", "", home="node:n2")
    hidden = CreateTask(header(), "SECRET", ulid(1), {"title": "hidden"})

    outcomes = machine.apply(1, entry(elsewhere, hidden), COMMIT_US)

    assert [outcome.ok for outcome in outcomes] == [True, False]
    assert "node:n2" in outcomes[1].message
    assert machine.board.task_count == 0
