"""No certificate is dated by a clock that most members would not believe."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import pytest
from tests.fakes.wall_clock import WallClock

from weftmesh.agent.features.census import ASK_S, Support
from weftmesh.agent.trust.peer_clocks import ASKED_MAX, PeerClocks
from weftmesh.core.errors import PreconditionError
from weftmesh.mesh.v1 import mesh_pb2
from weftmesh.runtime.identity.enrolling import Seed


class Clocks:
    """Members with clocks of their own; those that are named silent do not answer. Implements `Asks`."""

    def __init__(self, **clocks: WallClock | None) -> None:
        self.of = clocks
        self.asked: list[set[str]] = []

    async def ask(self, members: Mapping[str, str], timeout_s: float = ASK_S) -> list[Support]:
        self.asked.append(set(members))
        return [self._answer(name) for name in members]

    def _answer(self, name: str) -> Support:
        clock = self.of[name]
        if clock is None:
            return Support(name, 0, why="UNAVAILABLE")
        status = mesh_pb2.NodeStatus()
        status.current_time.FromDatetime(clock())
        return Support(name, 2, status)


def seen_from_n1(asks: Clocks, clock: WallClock) -> PeerClocks:
    members = [Seed(name, f"{name}:1") for name in ("n1", *asks.of)]
    return PeerClocks("n1", asks, lambda: members, clock)


def at(days: float) -> WallClock:
    clock = WallClock()
    clock.advance(timedelta(days=days))
    return clock


@pytest.mark.parametrize("others", [{}, {"n2": 0.9, "n3": -0.9}, {"n2": 0.0, "n3": 5.0}])
async def test_a_clock_that_the_others_bear_with_is_believed(others: dict[str, float]) -> None:
    await seen_from_n1(Clocks(**{name: at(days) for name, days in others.items()}), at(0)).check()


async def test_one_that_is_ahead_is_refused_until_it_is_corrected() -> None:
    clock = at(2)
    clocks = seen_from_n1(Clocks(n2=at(0), n3=at(0)), clock)
    with pytest.raises(PreconditionError, match=r"2\.0 days ahead of n2's, 2\.0 days ahead of n3's") as caught:
        await clocks.check()
    assert caught.value.reason == "CLOCK_DISAGREES"
    clock.advance(timedelta(days=-2))
    await clocks.check()


async def test_of_two_clocks_nobody_knows_which_one_is_wrong() -> None:
    with pytest.raises(PreconditionError, match=r"3\.0 days behind n2's"):
        await seen_from_n1(Clocks(n2=at(3)), at(0)).check()


async def test_who_does_not_answer_does_not_count() -> None:
    await seen_from_n1(Clocks(n2=None, n3=None), at(0)).check()
    with pytest.raises(PreconditionError):
        await seen_from_n1(Clocks(n2=None, n3=at(4)), at(0)).check()


async def test_a_few_are_asked_and_not_for_every_certificate() -> None:
    asks = Clocks(**{f"n{number}": at(0) for number in range(2, 30)})
    clocks = seen_from_n1(asks, at(0))
    for _ in range(5):
        await clocks.check()
    assert [len(asked) for asked in asks.asked] == [ASKED_MAX]


async def test_a_clock_that_is_set_is_compared_again_at_once() -> None:
    clock = at(0)
    clocks = seen_from_n1(Clocks(n2=at(0)), clock)
    await clocks.check()
    clock.advance(timedelta(days=2))
    with pytest.raises(PreconditionError):
        await clocks.check()
