"""What the feature level does to a log's other machines, to snapshots, and to a build that is too early."""

from __future__ import annotations

import pytest
from tests.fakes.feature_levels import machines_at, raise_entry

from weftmesh.agent.board.machines import LogMachines
from weftmesh.core.board.outcomes import OutcomeKind
from weftmesh.core.clock import HybridClock
from weftmesh.core.features.levels import SUPPORTED_LEVEL, UnsupportedLevelError
from weftmesh.mesh.v1 import features_pb2, raft_pb2
from weftmesh.runtime.wire.features import level_of_rows
from weftmesh.runtime.wire.machine_rows import FEATURES, wrapped


def entry_of(machine: str) -> bytes:
    command = raft_pb2.MachineCommand()
    getattr(command, machine).SetInParent()
    return raft_pb2.MachineCommands(commands=[command]).SerializeToString()


@pytest.mark.parametrize("machine", ["access", "trust"])
def test_a_command_of_a_later_level_changes_nothing_below_it(machine: str) -> None:
    machines = machines_at(1)

    (outcome,) = machines.apply(5, entry_of(machine), 0)

    assert "needs feature level 2" in outcome.message
    assert machines.state_hash == machines_at(1).state_hash


@pytest.mark.parametrize("machine", ["access", "trust"])
def test_at_its_level_the_machine_itself_answers(machine: str) -> None:
    (outcome,) = machines_at(2).apply(5, entry_of(machine), 0)

    assert "feature level" not in outcome.message


def test_a_log_at_the_first_level_has_the_state_of_a_build_that_knows_none() -> None:
    machines = machines_at(1)

    assert machines.state_hash == machines.board.state_hash
    assert [row for row in machines.snapshot()() if level_of_rows([row]) != 1] == []


def test_the_level_counts_in_the_state_hash() -> None:
    assert machines_at(2).state_hash != machines_at(1).state_hash


def test_the_level_is_raised_once_and_its_listener_hears_of_it() -> None:
    machines, heard = LogMachines("mesh", HybridClock()), []
    machines.on_level_raised(lambda raised: heard.append(raised.level))

    (first,) = machines.apply(2, raise_entry(2), 0, level=2)
    (second,) = machines.apply(3, raise_entry(2), 0, level=2)

    assert (first.kind, second.kind, heard) == (OutcomeKind.APPLIED, OutcomeKind.UNCHANGED, [2])


@pytest.mark.parametrize(("raised", "fence"), [(2, 1), (SUPPORTED_LEVEL + 1, 1), (SUPPORTED_LEVEL + 1, 2), (2, 3)])
def test_a_level_that_is_raised_without_its_fence_changes_nothing_for_any_build(raised: int, fence: int) -> None:
    """A rogue member may put it into the log as a plain command: builds that do not know levels refuse it as well."""
    machines = machines_at(raised - 1)

    (outcome,) = machines.apply(5, raise_entry(raised), 0, level=fence)

    assert outcome.kind is OutcomeKind.INVALID
    assert machines.state_hash == machines_at(raised - 1).state_hash


def test_a_snapshot_begins_with_the_level_and_brings_it_back() -> None:
    rows = list(machines_at(2).snapshot()())
    restored = LogMachines("mesh", HybridClock())

    restored.prepare_restore(rows)()

    assert level_of_rows(rows[:1]) == 2
    assert (restored.feature_level, restored.state_hash) == (2, machines_at(2).state_hash)


def test_a_snapshot_beyond_this_build_is_refused_and_the_state_stays() -> None:
    machines = machines_at(2)
    later = [features_pb2.FeaturesRow(level=level).SerializeToString() for level in range(2, SUPPORTED_LEVEL + 2)]

    with pytest.raises(UnsupportedLevelError, match=f"needs feature level {SUPPORTED_LEVEL + 1}"):
        machines.prepare_restore([*wrapped(FEATURES, later), *machines.snapshot()()])

    assert machines.feature_level == 2
