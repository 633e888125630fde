from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weftmesh.core.errors import InvalidInputError, PreconditionError
from weftmesh.core.learning.model import RoundKind
from weftmesh.core.learning.ownership import owner_of, trained_projects
from weftmesh.core.learning.sum_names import parse_sum_name, sum_name

NAMES = st.lists(st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True), min_size=1, max_size=12, unique=True)
PROJECTS = st.from_regex(r"[A-Z][A-Z0-9_]{1,15}", fullmatch=True)


@given(PROJECTS, NAMES, st.randoms(use_true_random=False))
def test_everybody_names_the_same_owner_in_whatever_order_members_are_listed(
    project: str, members: list[str], rng: Random
) -> None:
    shuffled = list(members)
    rng.shuffle(shuffled)
    assert owner_of(project, members) == owner_of(project, shuffled)


@given(PROJECTS, NAMES, st.data())
def test_a_member_that_goes_moves_only_what_it_owned(project: str, members: list[str], data: st.DataObject) -> None:
    gone = data.draw(st.sampled_from(members))
    left = [member for member in members if member != gone]
    owner = owner_of(project, members)
    if left and owner != gone:
        assert owner_of(project, left) == owner


def test_projects_spread_over_the_members() -> None:
    members = [f"node{number}" for number in range(1, 5)]
    owned = Counter(owner_of(f"P{number}", members) for number in range(2_000))
    assert set(owned) == set(members)
    assert min(owned.values()) > 400


def test_the_owner_is_the_same_on_every_version_of_python() -> None:
    assert [owner_of(project, ["node1", "node2", "node3"]) for project in ("FW", "WEB", "OPS", "QA")] == [
        "node1",
        "node2",
        "node2",
        "node3",
    ]


def test_nobody_owns_where_nobody_takes_part() -> None:
    with pytest.raises(PreconditionError, match="no member takes part"):
        owner_of("FW", [])


def test_a_node_trains_on_its_own_projects_whoever_takes_part_and_never_on_those_of_another() -> None:
    homes = [("OURS", "node:node1"), ("THEIRS", "node:node2"), ("SHARED", "mesh")]
    assert trained_projects("node1", homes, []) == ("OURS",)
    assert trained_projects("node1", homes, ["node1"]) == ("OURS", "SHARED")


@given(st.lists(PROJECTS, max_size=20, unique=True), NAMES)
def test_every_replicated_project_is_trained_exactly_once(projects: list[str], members: list[str]) -> None:
    homes = [(project, "mesh") for project in projects]
    trained = [project for member in members for project in trained_projects(member, homes, members)]
    assert sorted(trained) == sorted(projects)


@given(st.from_regex(r"[a-z][a-z0-9-]{0,20}[a-z0-9]", fullmatch=True), st.sampled_from(RoundKind))
def test_a_sum_s_name_tells_its_job_and_kind(job: str, kind: RoundKind) -> None:
    assert parse_sum_name(sum_name(job, kind)) == (job, kind)


@pytest.mark.parametrize("name", ["", "effort", "/training", "effort/", "effort/other", "effort/training/more"])
def test_a_name_without_a_known_kind_is_refused(name: str) -> None:
    with pytest.raises(InvalidInputError):
        parse_sum_name(name)
