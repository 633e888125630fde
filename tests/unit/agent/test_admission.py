"""Who counts as a member where certificates and names are given out."""

from __future__ import annotations

from tests.fakes.raft_engine import InMemoryEngine

from weftmesh.agent.board.machines import LogMachines
from weftmesh.agent.enrolment.admission import members_of
from weftmesh.agent.raft.engine import MemberRole
from weftmesh.core.clock import HybridClock
from weftmesh.runtime.identity.enrolling import Seed


async def test_an_observer_is_a_member_too() -> None:
    engine = InMemoryEngine(LogMachines("mesh", HybridClock()))
    (voter,) = members_of(engine.status())
    await engine.change_member("x", MemberRole.OBSERVER, "x:1", 1)
    assert members_of(engine.status()) == [voter, Seed("x", "x:1")]
