"""The learning machine behind a log, beside the board: one log, one snapshot, one hash that replicas compare."""

from __future__ import annotations

import random
from collections.abc import Sequence

from tests.unit.agent.test_machines import COMMIT_US, PROJECT, entry, task
from tests.unit.core.learning.facts import FIRST, JOB, define, founded, intent, opening, result, round_id, seed
from tests.unit.core.learning.random_logs import random_learning_log

from weftmesh.agent.board.machines import LogMachines
from weftmesh.core.board.outcomes import Event, OutcomeKind
from weftmesh.core.clock import HybridClock, ms_to_stamp
from weftmesh.core.learning.commands import Command, SwitchJob
from weftmesh.core.learning.outcomes import LearningEvent, LearningOutcome, Reason, Verb
from weftmesh.learning.v1.command_pb2 import LearningCommand
from weftmesh.mesh.v1 import raft_pb2
from weftmesh.runtime.clock import wall_ms
from weftmesh.runtime.wire.learning_commands import encode_learning_command
from weftmesh.runtime.wire.snapshot_rows import rows_of


def learning_entry(*commands: Command) -> bytes:
    items = [raft_pb2.MachineCommand(learning=encode_learning_command(command)) for command in commands]
    return raft_pb2.MachineCommands(commands=items).SerializeToString()


def machines() -> LogMachines:
    return LogMachines("mesh", HybridClock())


ROUND = (define(), seed(), opening(1), intent(1), result(1))


def test_one_entry_may_ask_several_machines() -> None:
    log = machines()

    outcomes = log.apply(1, entry(PROJECT) + learning_entry(define()) + entry(task(1)), COMMIT_US)

    assert [outcome.kind for outcome in outcomes] == [OutcomeKind.APPLIED] * 3
    assert isinstance(outcomes[1], LearningOutcome)
    assert (log.board.revision, log.learning.revision) == (2, 1)


def test_a_learning_command_that_nobody_understands_is_refused() -> None:
    log = machines()
    unknown = raft_pb2.MachineCommand(learning=LearningCommand(actor="ann@n1", stamp=1))

    (outcome,) = log.apply(1, raft_pb2.MachineCommands(commands=[unknown]).SerializeToString(), COMMIT_US)

    assert isinstance(outcome, LearningOutcome)
    assert outcome.reason is Reason.INVALID_VALUE
    assert "upgrade this node" in outcome.message


def test_each_machine_s_listeners_hear_of_its_own_events() -> None:
    log = machines()
    tasks: list[Event] = []
    rounds: list[LearningEvent] = []

    def hear_tasks(events: Sequence[Event], _commit_time_us: int) -> None:
        tasks.extend(events)

    log.on_applied(hear_tasks)
    log.on_learning(rounds.extend)

    log.apply(1, entry(PROJECT) + learning_entry(*ROUND), COMMIT_US)
    log.apply(2, learning_entry(SwitchJob(define().header, JOB, enabled=True)), COMMIT_US)

    assert len(tasks) == 1
    assert [event.verb for event in rounds] == [
        Verb.JOB_DEFINED,
        Verb.VERSION_ADDED,
        Verb.ROUND_OPENED,
        Verb.INTENT_COMMITTED,
        Verb.VERSION_ADDED,
    ]


def test_a_board_s_hash_is_the_log_s_until_somebody_learns() -> None:
    log = machines()
    log.apply(1, entry(PROJECT, task(1)), COMMIT_US)
    assert log.state_hash == log.state_hash_at(1, 0) == log.board.state_hash
    log.apply(2, learning_entry(define()), COMMIT_US)
    assert log.state_hash == log.state_hash_at(2, 0) != log.board.state_hash
    assert log.state_hash_at(1, 0) == log.board.state_hash


def test_replicas_that_learned_differently_have_different_hashes() -> None:
    one, other = machines(), machines()
    one.apply(1, learning_entry(define()), COMMIT_US)
    other.apply(1, learning_entry(define(spec=b"another")), COMMIT_US)
    assert one.state_hash_at(1, 0) != other.state_hash_at(1, 0)


def test_a_snapshot_restores_all_machines_at_any_point_of_the_log() -> None:
    commands = random_learning_log(5, 60)
    for cut in range(0, len(commands), 9):
        log, replica = machines(), machines()
        log.apply(1, entry(PROJECT, task(1)), COMMIT_US)
        log.apply(2, learning_entry(*commands[:cut]), COMMIT_US)
        replica.prepare_restore(log.snapshot()())()
        for index, command in enumerate(commands[cut:], start=3):
            data = entry(task(index)) + learning_entry(command)
            assert log.apply(index, data, COMMIT_US) == replica.apply(index, data, COMMIT_US)
        replica.learning.check()
        replica.board.check()
        assert replica.state_hash == log.state_hash
        assert list(replica.snapshot()()) == list(log.snapshot()())


def test_a_snapshot_without_learning_is_that_of_a_board_and_loads() -> None:
    log = machines()
    log.apply(1, entry(PROJECT, task(1)), COMMIT_US)
    older = list(rows_of(log.board.freeze()))
    assert list(log.snapshot()()) == older
    log.apply(2, learning_entry(*ROUND), COMMIT_US)

    log.prepare_restore(older)()

    assert (log.board.task_count, log.learning.revision) == (1, 0)


def test_a_restore_is_announced_when_all_machines_are_in_place() -> None:
    log, other = machines(), machines()
    other.apply(1, entry(PROJECT) + learning_entry(*ROUND), COMMIT_US)
    seen: list[tuple[int, int]] = []
    log.on_restored(lambda: seen.append((log.board.revision, log.learning.revision)))

    list(log.prepare_restore(other.snapshot()())())

    assert seen == [(1, 5)]


def test_the_clock_follows_what_coordinators_wrote() -> None:
    clock = HybridClock()
    ahead = ms_to_stamp(wall_ms() + 10_000)
    message = encode_learning_command(define())
    message.stamp = ahead
    log = LogMachines("mesh", clock)

    log.apply(1, raft_pb2.MachineCommands(commands=[{"learning": message}]).SerializeToString(), COMMIT_US)

    assert clock.tick(wall_ms()) > ahead


def test_no_bytes_make_a_replica_raise_or_differ_from_another() -> None:
    good = learning_entry(*ROUND)
    chance = random.Random(7)
    one, other = machines(), machines()
    for index in range(600):
        damaged = bytearray(good)
        for _ in range(chance.randint(1, 4)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        cut = bytes(damaged[: chance.randint(0, len(damaged))] if chance.random() < 0.2 else damaged)
        assert one.apply(index, cut, 0) == other.apply(index, cut, 0)
    one.learning.check()
    assert one.state_hash == other.state_hash


def test_what_a_log_did_can_be_told() -> None:
    log = machines()
    log.apply(1, learning_entry(*ROUND), COMMIT_US)
    assert f"by {FIRST.node} in term {FIRST.term}, done: made version 2" in log.learning.story(round_id(1).hex())
    assert log.learning.story(JOB).splitlines()[0] == founded().learning.story(JOB).splitlines()[0].replace(
        "of 1", "of 2"
    )
