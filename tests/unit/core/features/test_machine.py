"""The feature level: up one step at a time, the same on every node, and nothing at all at the first level."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from weftmesh.core.board.commands import Header
from weftmesh.core.board.outcomes import OutcomeKind
from weftmesh.core.features.levels import FIRST_LEVEL
from weftmesh.core.features.machine import FeatureLevel, RaiseLevel


def raising(level: int, actor: str = "node1") -> RaiseLevel:
    return RaiseLevel(Header(actor, 1), level, ("node1", "node2"))


def test_an_empty_machine_is_at_the_first_level_and_weighs_nothing() -> None:
    machine = FeatureLevel()

    assert (machine.level, machine.hash_sum, machine.freeze()) == (FIRST_LEVEL, 0, ())


def test_it_goes_up_one_step() -> None:
    machine = FeatureLevel()

    outcome, (raised,) = machine.apply(raising(2))

    assert (outcome.kind, machine.level, raised.members) == (OutcomeKind.APPLIED, 2, ("node1", "node2"))


def test_a_step_that_is_left_out_is_refused() -> None:
    machine = FeatureLevel()

    outcome, raised = machine.apply(raising(3))

    assert (outcome.kind, machine.level, raised) == (OutcomeKind.PRECONDITION, FIRST_LEVEL, ())


def test_a_level_that_is_reached_changes_nothing() -> None:
    machine = FeatureLevel()
    machine.apply(raising(2))
    before = machine.state_hash

    outcome, raised = machine.apply(raising(2, "node2"))

    assert (outcome.kind, raised, machine.state_hash) == (OutcomeKind.UNCHANGED, (), before)


def test_its_story_tells_who_raised_it_and_who_supports_it() -> None:
    machine = FeatureLevel()
    machine.apply(raising(2))

    assert machine.story("2") == "level 2: raised by node1; supported by node1, node2"
    assert "not reached" in machine.story("3")


@given(st.lists(st.integers(min_value=0, max_value=6)))
def test_whatever_is_asked_it_never_falls_and_a_replica_of_its_rows_is_the_same(levels: list[int]) -> None:
    machine = FeatureLevel()
    reached = [FIRST_LEVEL]
    for level in levels:
        machine.apply(raising(level))
        machine.check()
        reached.append(machine.level)

    replica = FeatureLevel.thaw(machine.freeze())

    assert reached == sorted(reached)
    assert (replica.level, replica.state_hash) == (machine.level, machine.state_hash)
