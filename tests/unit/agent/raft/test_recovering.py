"""One survivor goes on alone: with all that it has, durably, and without the others having a say."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.fakes.raft_engines import Engines, Host

from weftmesh.agent.raft.engine import MemberRole, Role
from weftmesh.core.errors import NoQuorumError, PreconditionError, UnknownOutcomeError


@pytest.fixture
async def mesh() -> AsyncIterator[Engines]:
    engines = Engines()
    yield engines
    await engines.stop()


async def survivor_of(mesh: Engines, *, lead: bool) -> Host:
    """One of three, with a committed write; the others have lost power."""
    await mesh.found("a", "b", "c")
    leader = await mesh.elected()
    await leader.up.propose(b"kept", 5)
    await mesh.converged()
    survivor = leader if lead else next(host for host in mesh.hosts.values() if host is not leader)
    for name in mesh.hosts:
        if name != survivor.name:
            await mesh.crash(name)
    await mesh.until(lambda: not survivor.up.status().quorum)
    with pytest.raises((NoQuorumError, UnknownOutcomeError)):
        await survivor.up.propose(b"in doubt", 0.1)
    return survivor


@pytest.mark.parametrize("lead", [False, True])
async def test_the_survivor_leads_alone_with_all_that_it_has(mesh: Engines, lead: bool) -> None:
    survivor = await survivor_of(mesh, lead=lead)
    await mesh.until(lambda: survivor.up.status().role is not Role.LEADER)
    await survivor.up.recover_quorum(5)
    status = survivor.up.status()
    assert (status.role, status.quorum, dict(status.voters)) == (
        Role.LEADER,
        True,
        {survivor.name: f"{survivor.name}:1"},
    )
    await survivor.up.propose(b"new", 5)
    commands = survivor.machine.commands
    assert [commands[0], commands[-1]] == [b"kept", b"new"]
    # A write in doubt was in this node's log or was not; either way there is one answer now.
    assert set(commands) <= {b"kept", b"in doubt", b"new"}


async def test_what_was_recovered_survives_a_power_cut(mesh: Engines) -> None:
    survivor = await survivor_of(mesh, lead=False)
    await survivor.up.recover_quorum(5)
    term = survivor.up.status().term
    await mesh.crash(survivor.name)
    again = await mesh.start(survivor.name)
    assert set(again.up.status().voters) == {survivor.name}
    assert again.up.status().term > term
    assert again.machine.commands[0] == b"kept"


async def test_one_of_the_old_mesh_wins_nothing_and_disturbs_nobody(mesh: Engines) -> None:
    survivor = await survivor_of(mesh, lead=False)
    await survivor.up.recover_quorum(5)
    term = survivor.up.status().term
    old = await mesh.start(next(name for name in mesh.hosts if name != survivor.name))
    for number in range(20):
        await survivor.up.propose(b"%d" % number, 5)
        with pytest.raises((NoQuorumError, UnknownOutcomeError)):
            await old.up.propose(b"lost", 0.05)
    assert survivor.up.status().term == term
    assert not old.up.status().quorum
    assert b"lost" not in survivor.machine.commands


async def test_a_mesh_grows_from_the_survivor(mesh: Engines) -> None:
    survivor = await survivor_of(mesh, lead=False)
    await survivor.up.recover_quorum(5)
    for name in ("d", "e"):
        await mesh.start(name)
        await survivor.up.change_member(name, MemberRole.VOTER, f"{name}:1", 5)
    await mesh.crash(survivor.name)
    await mesh.start(survivor.name)
    await mesh.elected()
    for name in ("d", "e"):
        await mesh.hosts[name].up.propose(name.encode(), 5)
    await mesh.until(lambda: len({mesh.hosts[name].machine.digest() for name in (survivor.name, "d", "e")}) == 1)
    assert mesh.hosts["e"].machine.commands[0] == b"kept"


async def test_a_leader_and_a_stranger_have_nothing_to_recover(mesh: Engines) -> None:
    await mesh.found("a", "b", "c")
    leader = await mesh.elected()
    with pytest.raises(PreconditionError, match="leads"):
        await leader.up.recover_quorum(1)
    stranger = await mesh.start("d")
    with pytest.raises(PreconditionError, match="no member"):
        await stranger.up.recover_quorum(1)
    await leader.up.propose(b"still works", 5)
