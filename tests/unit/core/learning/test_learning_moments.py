"""As of which moment a round reads tasks: a coordinator cannot slide it."""

from __future__ import annotations

import pytest
from tests.unit.core.learning.facts import (
    FIRST,
    JOB,
    Mesh,
    founded,
    header,
    intent,
    opening,
    result,
    round_id,
    seed,
)

from weftmesh.core.learning.commands import AbandonRound
from weftmesh.core.learning.moments import AHEAD_S, BEHIND_S, GAP_S
from weftmesh.core.learning.outcomes import Reason

NOW_S = 1_800_000_000


def begun() -> Mesh:
    """A job with a seed, and a version that a round of the present made."""
    mesh = founded()
    mesh.done(opening(1, as_of_s=NOW_S, at_s=NOW_S), intent(1), result(1))
    return mesh


def newest_moment(mesh: Mesh) -> int:
    job = mesh.learning.job(JOB)
    assert job is not None
    return job.as_of_s


def test_a_version_has_the_moment_of_its_round_or_of_its_parent() -> None:
    mesh = begun()
    mesh.done(seed("beside", parent=2))
    assert [one.as_of_s for one in mesh.learning.versions(JOB)] == [0, NOW_S, NOW_S]


@pytest.mark.parametrize(
    ("as_of_s", "at_s", "saying"),
    [
        (0, NOW_S + 1, "no moment"),
        (NOW_S + 1, NOW_S + 1, "send that one"),
        (NOW_S - 1, NOW_S + 1, "send that one"),
        (NOW_S + GAP_S - 1, NOW_S + GAP_S, "send that one"),
        (NOW_S + GAP_S, NOW_S + GAP_S - AHEAD_S - 1, "set the clocks"),
        (NOW_S + GAP_S, NOW_S + GAP_S + BEHIND_S + 1, "set the clocks"),
        (2**62, NOW_S, "set the clocks"),
    ],
)
def test_a_moment_that_is_neither_known_nor_due_is_refused(as_of_s: int, at_s: int, saying: str) -> None:
    begun().refused(opening(2, 2, as_of_s=as_of_s, at_s=at_s), Reason.MOMENT, saying)


@pytest.mark.parametrize("at_s", [NOW_S + GAP_S, NOW_S + GAP_S - AHEAD_S, NOW_S + GAP_S + BEHIND_S])
def test_a_new_moment_comes_an_hour_later_and_holds_for_every_base(at_s: int) -> None:
    mesh = begun()
    mesh.done(opening(2, 2, as_of_s=NOW_S + GAP_S, at_s=at_s), intent(2, 2))
    mesh.done(result(2), seed("beside", parent=2))
    mesh.refused(opening(3, 4, as_of_s=NOW_S + GAP_S + 1, at_s=at_s), Reason.MOMENT, "send that one")
    mesh.done(opening(4, 4, as_of_s=NOW_S + GAP_S, at_s=at_s))


def test_a_moment_counts_once_its_sum_may_be_unmasked_and_not_before() -> None:
    mesh, later = begun(), NOW_S + GAP_S
    mesh.done(opening(2, 2, as_of_s=later, at_s=later), AbandonRound(header(), JOB, FIRST, round_id(2), "too slow"))
    assert newest_moment(mesh) == NOW_S, "what nobody could learn from holds nobody up"
    mesh.done(opening(3, 2, as_of_s=later + 1, at_s=later + 1), intent(3, 2))
    mesh.done(AbandonRound(header(), JOB, FIRST, round_id(3), "its coordinator is gone"))
    assert newest_moment(mesh) == later + 1
    mesh.done(seed("beside", parent=2))
    mesh.refused(opening(4, 3, as_of_s=later + 2, at_s=later + 2), Reason.MOMENT, "send that one")


def test_a_seed_brings_no_moment_of_its_own() -> None:
    mesh = begun()
    mesh.done(seed("again"))
    mesh.refused(opening(2, 3, as_of_s=NOW_S + 1, at_s=NOW_S + 1), Reason.MOMENT, "send that one")
    mesh.done(opening(3, 3, as_of_s=NOW_S, at_s=NOW_S + 1))


def test_the_same_opening_with_another_moment_is_another_round() -> None:
    mesh = begun()
    mesh.done(opening(2, 2, as_of_s=NOW_S, at_s=NOW_S))
    mesh.refused(opening(2, 2, as_of_s=NOW_S + GAP_S, at_s=NOW_S + GAP_S), Reason.ROUND_EXISTS, "draw a new id")
