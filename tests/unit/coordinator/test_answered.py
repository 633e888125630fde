"""Which rounds count as a closed base version, since contributors had answered one on it before."""

from __future__ import annotations

import pytest

from weftmesh.coordinator.aggregated_round import RoundAbandonedError
from weftmesh.coordinator.answered import cause_of
from weftmesh.core.errors import PreconditionError
from weftmesh.core.learning.model import AbandonCause

ASKED = ("node1", "node2", "node3", "node4")
FLOOR = 3
ANSWERED = "ALREADY_ANSWERED"


@pytest.mark.parametrize(
    ("refusals", "cause"),
    [
        ({}, AbandonCause.OTHER),
        ({"node1": ANSWERED}, AbandonCause.OTHER),
        ({"node1": ANSWERED, "node2": "NOTHING_TO_LEARN"}, AbandonCause.OTHER),
        ({"node1": "NOTHING_TO_LEARN", "node2": "NOTHING_TO_LEARN"}, AbandonCause.OTHER),
        ({"node1": ANSWERED, "node2": ANSWERED}, AbandonCause.ANSWERED_BEFORE),
        (dict.fromkeys(ASKED, ANSWERED), AbandonCause.ANSWERED_BEFORE),
    ],
)
def test_it_is_closed_when_those_who_had_not_answered_are_below_the_floor(
    refusals: dict[str, str], cause: AbandonCause
) -> None:
    assert cause_of(RoundAbandonedError("none came", {}, refusals), ASKED, FLOOR) is cause


def test_another_failure_closes_nothing() -> None:
    assert cause_of(PreconditionError("too few"), ASKED, FLOOR) is AbandonCause.OTHER
