"""A new mesh goes on learning where a backup of another one ended."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.core.learning.facts import JOB, NODES, founded, intent, opening, round_id
from tests.unit.core.learning.random_logs import random_learning_log

from weftmesh.core.learning.commands import Command
from weftmesh.core.learning.machine import Learning
from weftmesh.core.learning.model import Coordinator, RoundStage
from weftmesh.core.learning.outcomes import Reason
from weftmesh.core.learning.restoring import in_new_mesh

FIRST_OF_ALL = Coordinator("n3", 1)


def test_the_first_leader_of_a_new_mesh_is_heeded_and_nothing_is_under_way() -> None:
    mesh = founded()
    mesh.train(1, 1)
    mesh.done(opening(2, 2))
    mesh.learning = Learning.thaw(in_new_mesh(mesh.learning.freeze()))

    left = mesh.learning.round(round_id(2))
    assert left is not None
    assert (left.stage, left.why) == (RoundStage.ABANDONED, "the mesh was restored from a backup")
    mesh.done(opening(3, 2, by=FIRST_OF_ALL), intent(3, 2, by=FIRST_OF_ALL))


def test_what_was_closed_stays_closed_and_what_was_spent_stays_spent() -> None:
    mesh = founded()
    mesh.done(opening(1), intent(1))
    before = mesh.learning.job(JOB)
    assert before is not None
    mesh.learning = Learning.thaw(in_new_mesh(mesh.learning.freeze()))

    mesh.refused(opening(2, by=FIRST_OF_ALL, nodes=NODES[:4]), Reason.BASE_CLOSED, "closed to training")
    after = mesh.learning.job(JOB)
    assert after is not None
    assert after.spent_nano_rho == before.spent_nano_rho


@settings(max_examples=30, deadline=None)
@given(st.builds(random_learning_log, st.integers(0, 2**32), st.just(40)))
def test_every_state_can_be_taken_over(log: list[Command]) -> None:
    learning = Learning()
    for command in log:
        learning.apply(command)
    taken = Learning.thaw(in_new_mesh(learning.freeze()))
    taken.check()
    assert not any(job.round_id for job in taken.jobs())
