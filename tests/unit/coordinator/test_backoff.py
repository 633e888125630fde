"""Pauses double and end; nodes that gave no answer are left out while enough others are there."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from weftmesh.coordinator.backoff import ABSENT_S, MOST_S, Absentees, Pauses


@given(st.integers(0, 2**32), st.integers(1, 2_000))
def test_pauses_grow_to_a_bound_and_never_over_it(seed: int, failures: int) -> None:
    pauses = Pauses(random.Random(seed))
    waits_s = [pauses.failed("job", 0.0) for _ in range(failures)]
    assert all(0.75 * min(2.0**place, MOST_S) <= wait <= MOST_S for place, wait in enumerate(waits_s[:20]))
    assert max(waits_s) <= MOST_S
    assert pauses.failures("job") == failures


def test_a_job_waits_after_a_failure_and_not_after_a_success() -> None:
    pauses = Pauses(random.Random(1))
    pause_s = pauses.failed("job", 100.0)
    assert not pauses.may_try("job", 100.0 + pause_s / 2)
    assert pauses.may_try("job", 100.0 + pause_s)
    assert pauses.may_try("other", 100.0)
    pauses.succeeded("job")
    assert pauses.may_try("job", 100.0)
    assert pauses.failures("job") == 0


def test_who_gave_no_answer_is_left_out_for_a_while_but_never_below_the_floor() -> None:
    absentees, nodes = Absentees(), ("node1", "node2", "node3", "node4")
    absentees.note(["node4"], 10.0)
    assert absentees.present(nodes, 3, 11.0) == ("node1", "node2", "node3")
    assert absentees.present(nodes, 3, 10.0 + ABSENT_S) == nodes
    absentees.note(["node1"], 11.0)
    assert absentees.present(nodes, 3, 12.0) == nodes, "too few would be left"
