"""Members of whole engines: they come in as observers, are promoted and demoted, and go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.fakes.raft_engines import Engines, with_settings

from weftmesh.agent.raft.engine import MemberRole, Role
from weftmesh.core.errors import InvalidInputError, PreconditionError


@pytest.fixture
async def mesh() -> AsyncIterator[Engines]:
    engines = Engines()
    yield engines
    await engines.stop()


async def test_an_observer_serves_and_writes_and_no_majority_needs_it(mesh: Engines) -> None:
    (a,) = await mesh.found("a")
    x = await mesh.start("x")
    await a.up.change_member("x", MemberRole.OBSERVER, "x:1", 5)
    await mesh.until(lambda: x.up.status().role is Role.OBSERVER)
    written = await x.up.propose(b"from an observer", 5)
    assert await x.up.read_barrier(5) >= written.index
    assert x.machine.commands == [b"from an observer"]
    await mesh.crash("x")
    await a.up.propose(b"without it", 5)
    x = await mesh.start("x")
    await mesh.converged()
    assert x.up.status().role is Role.OBSERVER


async def test_promoted_and_demoted(mesh: Engines) -> None:
    a, b, _ = await mesh.found("a", "b", "c")
    x = await mesh.start("x")
    await b.up.change_member("x", MemberRole.OBSERVER, "x:1", 5)
    await mesh.until(lambda: x.up.status().role is Role.OBSERVER)
    await mesh.until(lambda: x.up.status().last_index == a.up.status().last_index)
    await b.up.change_member("x", MemberRole.VOTER, None, 5)
    assert set(b.up.status().voters) == {"a", "b", "c", "x"}
    assert b.up.status().voters["x"] == "x:1"
    await b.up.change_member("x", MemberRole.OBSERVER, None, 5)
    await mesh.until(lambda: x.up.status().role is Role.OBSERVER)
    assert set(b.up.status().voters) == {"a", "b", "c"}
    await b.up.change_member("x", None, None, 5)
    await mesh.until(lambda: x.up.status().role is Role.JOINING)


async def test_a_new_voter_that_is_not_there_goes_on_joining(mesh: Engines) -> None:
    (a,) = await mesh.found("a")
    with pytest.raises(PreconditionError, match="does not answer") as refused:
        await a.up.change_member("x", MemberRole.VOTER, "x:1", 0.5)
    assert refused.value.reason == "OBSERVER_SILENT"
    assert set(a.up.status().voters) == {"a"}
    assert set(a.up.status().joining) == {"x"}
    await a.up.propose(b"goes on", 2)
    x = await mesh.start("x")
    await a.up.change_member("x", MemberRole.VOTER, "x:1", 5)
    await mesh.until(lambda: x.up.status().role is Role.FOLLOWER)
    assert x.machine.commands == [b"goes on"]


async def test_a_new_voter_is_waited_for_until_it_has_caught_up(mesh: Engines) -> None:
    mesh.settings = with_settings(promote_lag_entries=0, append_limit_bytes=1000)
    (a,) = await mesh.found("a")
    for number in range(200):
        await a.up.propose(b"%d" % number * 20, 2)
    x = await mesh.start("x")
    joined = asyncio.ensure_future(a.up.change_member("x", MemberRole.VOTER, "x:1", 10))
    await mesh.until(lambda: "x" in a.up.status().observers)
    await joined
    assert set(a.up.status().voters) == {"a", "x"}
    assert x.up.status().last_index >= 200


async def test_an_observer_that_is_away_is_refused_at_once(mesh: Engines) -> None:
    (a,) = await mesh.found("a")
    await mesh.start("x")
    await a.up.change_member("x", MemberRole.OBSERVER, "x:1", 5)
    await mesh.crash("x")
    transport = a.transport
    assert transport is not None
    await mesh.until(lambda: "x" not in transport.up)
    with pytest.raises(PreconditionError) as refused:
        await a.up.change_member("x", MemberRole.VOTER, None, 60)
    assert refused.value.reason == "OBSERVER_SILENT"


async def test_somebody_always_votes(mesh: Engines) -> None:
    (a,) = await mesh.found("a")
    await mesh.start("x")
    await a.up.change_member("x", MemberRole.OBSERVER, "x:1", 5)
    for role in (None, MemberRole.OBSERVER):
        with pytest.raises(PreconditionError) as refused:
            await a.up.change_member("a", role, None, 5)
        assert refused.value.reason == "LAST_VOTER"


async def test_a_new_member_needs_an_address(mesh: Engines) -> None:
    (a,) = await mesh.found("a")
    with pytest.raises(InvalidInputError, match="x is no member yet"):
        await a.up.change_member("x", MemberRole.OBSERVER, None, 5)


async def test_what_is_so_already_needs_no_entry(mesh: Engines) -> None:
    (a,) = await mesh.found("a")
    await mesh.start("x")
    await a.up.change_member("x", MemberRole.OBSERVER, "x:1", 5)
    last = a.up.status().last_index
    await a.up.change_member("x", MemberRole.OBSERVER, "x:1", 5)
    await a.up.change_member("y", None, None, 5)
    assert a.up.status().last_index == last


async def test_a_node_that_belongs_to_no_mesh_changes_none(mesh: Engines) -> None:
    x = await mesh.start("x")
    with pytest.raises(PreconditionError) as refused:
        await x.up.change_member("x", MemberRole.VOTER, "x:1", 1)
    assert refused.value.reason == "NOT_A_MEMBER"
