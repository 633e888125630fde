"""What a replayed log comes to."""

from __future__ import annotations

import pytest
from tests.unit.router.decided import decisions

from weftmesh.core.routing.model import Mode
from weftmesh.core.routing.replay import POLICIES
from weftmesh.core.routing.replay_summary import summaries

DECISIONS = decisions()


def test_under_the_same_policy_nothing_differs() -> None:
    (found,) = summaries(DECISIONS, POLICIES["feedback"])
    assert (found.route, found.decisions, found.differing, found.moved_max, found.gaps) == (
        "pay",
        len(DECISIONS),
        0,
        0.0,
        0,
    )
    assert [(one.logged, one.logged_mean) for one in found.endpoints] == [
        (one.replayed, one.replayed_mean) for one in found.endpoints
    ]


def test_under_another_policy_it_says_how_much_weight_moves() -> None:
    (found,) = summaries(DECISIONS, POLICIES["equal"])
    logged = [[row.weight for row in one.after] for one in DECISIONS]
    assert [one.replayed for one in found.endpoints] == [0.5, 0.5]
    assert [one.logged for one in found.endpoints] == logged[-1]
    assert found.endpoints[0].logged_mean == pytest.approx(sum(one[0] for one in logged) / len(logged))
    moved = [abs(one[0] - 0.5) for one in logged]
    assert found.moved_max == pytest.approx(max(moved))
    assert found.moved_mean == pytest.approx(sum(moved) / len(moved))
    assert found.differing == sum(one >= 0.001 for one in moved) > 0


def test_a_log_with_a_gap_begins_anew_behind_it() -> None:
    (found,) = summaries(DECISIONS[:3] + DECISIONS[5:], POLICIES["feedback"])
    assert (found.gaps, found.differing) == (1, 0)


def test_routes_are_told_apart_and_chosen_and_old_decisions_left_out() -> None:
    others = decisions("other", mode=Mode.OBSERVE)
    mixed = sorted(DECISIONS + others, key=lambda one: one.inputs.time_s)
    both = summaries(mixed, POLICIES["feedback"])
    assert [(one.route, one.decisions, one.differing) for one in both] == [
        ("other", len(others), 0),
        ("pay", len(DECISIONS), 0),
    ]
    (chosen,) = summaries(mixed, POLICIES["latency"], "pay", DECISIONS[4].inputs.time_s)
    assert (chosen.route, chosen.decisions, chosen.from_s) == ("pay", len(DECISIONS) - 4, DECISIONS[4].inputs.time_s)
    assert summaries(mixed, POLICIES["equal"], "none") == []
