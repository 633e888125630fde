"""The machine of agreements behind a log, beside the board and learning."""

from __future__ import annotations

from collections.abc import Sequence

from tests.unit.agent.test_learning_machine import learning_entry
from tests.unit.agent.test_machines import COMMIT_US, PROJECT, entry, task
from tests.unit.core.learning.facts import define
from tests.unit.core.ola_machine.agreed import PAYMENTS, applying, window

from weftmesh.agent.board.machines import LogMachines
from weftmesh.core.board.outcomes import OutcomeKind
from weftmesh.core.clock import HybridClock
from weftmesh.core.ola.replicated.commands import Command
from weftmesh.core.ola.replicated.outcomes import OlaEvent, Verb
from weftmesh.mesh.v1 import raft_pb2
from weftmesh.ola.v1.command_pb2 import OlaCommand
from weftmesh.runtime.wire.ola_commands import encode_ola_command


def ola_entry(*commands: Command) -> bytes:
    items = [raft_pb2.MachineCommand(ola=encode_ola_command(command)) for command in commands]
    return raft_pb2.MachineCommands(commands=items).SerializeToString()


def machines() -> LogMachines:
    return LogMachines("mesh", HybridClock())


def test_one_entry_may_ask_all_machines() -> None:
    log = machines()
    outcomes = log.apply(1, entry(PROJECT) + learning_entry(define()) + ola_entry(applying(PAYMENTS)), COMMIT_US)
    assert [outcome.kind for outcome in outcomes] == [OutcomeKind.APPLIED] * 3
    assert (log.board.revision, log.learning.revision, log.agreements.revision) == (1, 1, 1)


def test_listeners_hear_of_every_change_and_get_the_events() -> None:
    log = machines()
    heard: list[Sequence[OlaEvent]] = []
    log.on_ola(heard.append)
    log.apply(1, ola_entry(applying(PAYMENTS)), COMMIT_US)
    log.apply(2, ola_entry(window("n1", 0)), COMMIT_US)
    log.apply(3, ola_entry(window("n1", 0)) + entry(PROJECT), COMMIT_US)
    assert [[event.verb for event in events] for events in heard] == [[Verb.APPLIED], []]


def test_a_command_that_nobody_understands_is_refused() -> None:
    unknown = raft_pb2.MachineCommand(ola=OlaCommand(actor="ann@n1", stamp=1))
    (outcome,) = machines().apply(1, raft_pb2.MachineCommands(commands=[unknown]).SerializeToString(), COMMIT_US)
    assert outcome.kind is OutcomeKind.INVALID
    assert "upgrade this node" in outcome.message


def test_the_state_hash_covers_agreements_and_what_was_counted() -> None:
    log = machines()
    log.apply(1, entry(PROJECT), COMMIT_US)
    log.apply(2, ola_entry(applying(PAYMENTS)), COMMIT_US)
    log.apply(3, ola_entry(window("n1", 0)), COMMIT_US)
    hashes = [log.state_hash_at(index, 0) for index in (1, 2, 3)]
    assert hashes[0] == log.board.state_hash
    assert len(set(hashes)) == 3


def test_a_snapshot_restores_agreements_and_an_older_one_has_none() -> None:
    log, replica = machines(), machines()
    log.apply(1, entry(PROJECT, task(1)), COMMIT_US)
    older = list(log.snapshot()())
    log.apply(2, ola_entry(applying(PAYMENTS), window("n1", 0)), COMMIT_US)

    replica.prepare_restore(log.snapshot()())()
    assert (replica.state_hash, replica.agreements.freeze()) == (log.state_hash, log.agreements.freeze())
    assert list(replica.snapshot()()) == list(log.snapshot()())

    replica.prepare_restore(older)()
    assert replica.agreements.revision == 0
