"""What a contributor remembers is bounded and forgets nothing in the unsafe direction."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.core.aggregation.rounds import Mesh, terms_for

from weftmesh.core.aggregation.memory import JOBS_MAX, VERSIONS_MAX, ContributorMemory
from weftmesh.core.aggregation.messages import Invitation
from weftmesh.core.aggregation.outcomes import Refusal, RefusalReason


@given(st.lists(st.tuples(st.sampled_from(["effort", "other"]), st.integers(0, 400)), max_size=600))
def test_an_answered_version_is_never_forgotten(answers: list[tuple[str, int]]) -> None:
    memory = ContributorMemory()
    for job, base_version in answers:
        memory = memory.answering(job, base_version)
    assert all(memory.has_answered(job, base_version) for job, base_version in answers)
    assert all(len(one.above) <= VERSIONS_MAX for one in memory.answered)
    assert not any(memory.has_answered(job, 401) for job in ("effort", "other"))


def test_jobs_do_not_share_versions() -> None:
    memory = ContributorMemory().answering("effort", 7)
    assert not memory.has_answered("other", 7)
    assert not memory.has_answered("effort", 6)


def test_many_answers_become_a_floor() -> None:
    memory = ContributorMemory()
    for base_version in range(10, 10 + VERSIONS_MAX + 2):
        memory = memory.answering("effort", base_version)
    assert memory.answered[0].floor == 11
    assert memory.has_answered("effort", 3)


def test_a_full_memory_refuses_new_jobs_and_keeps_the_old_ones() -> None:
    memory = ContributorMemory()
    for number in range(JOBS_MAX):
        memory = memory.answering(f"job-{number}", 1)
    memory.check_room("job-0")
    with pytest.raises(Refusal):
        memory.check_room("one-more")
    mesh = Mesh(3)
    mesh.contributors["n01"] = mesh.contributor("n01", memory)
    refused = mesh.tell("n01", Invitation(terms_for(3, job="one-more")))
    assert refused is not None
    assert refused.reason is RefusalReason.MEMORY_FULL
    assert mesh.tell("n01", Invitation(terms_for(3, job="job-0"))) is None
