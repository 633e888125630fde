"""Whole engines on one event loop: what their callers are told, and what the nodes end up with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs
from tests.fakes.raft_engines import FAST, Engines, Register, with_settings
from tests.fakes.storage import FakeLogStorage, FakeSnapshotStorage

from weftmesh.agent.raft.engine import MemberRole, RaftStatus, Role
from weftmesh.agent.raft.node import PysyncobjEngine
from weftmesh.agent.raft.peers.null import NullTransport
from weftmesh.core.errors import (
    DataCorruptionError,
    InvalidInputError,
    NoQuorumError,
    OverloadedError,
    PreconditionError,
    UnknownOutcomeError,
    WeftmeshError,
)
from weftmesh.mesh.v1 import raft_pb2


@pytest.fixture
async def mesh() -> AsyncIterator[Engines]:
    engines = Engines()
    yield engines
    await engines.stop()


async def test_a_sole_voter_needs_nobody() -> None:
    log, snapshots, machine = FakeLogStorage(), FakeSnapshotStorage(), Register()
    failures: list[BaseException] = []

    def engine(founding: bool) -> PysyncobjEngine:
        return PysyncobjEngine(
            "a", "a:1", "test", log, snapshots, NullTransport(), machine, founding, FAST, failures.append
        )

    first = engine(founding=True)
    await first.start()
    assert (await first.propose(b"x", 1)).result == 1
    assert first.status().role is Role.LEADER
    await first.stop()
    log, machine = log.crash(), Register()
    second = engine(founding=False)
    await second.start()
    assert machine.commands == [b"x"]
    assert machine.times_us == [0]
    await second.stop()
    assert failures == []


async def test_what_is_logged_of_a_change_says_in_which_log() -> None:
    parts = FakeLogStorage(), FakeSnapshotStorage(), NullTransport(), Register()
    failures: list[BaseException] = []
    engine = PysyncobjEngine("a", "a:1", "test", *parts, True, FAST, failures.append, home="node:a")
    with capture_logs() as logs:
        await engine.start()
    await engine.stop()
    assert {entry["home"] for entry in logs if entry["event"] == "raft.changed"} == {"node:a"}


async def test_writes_and_reads_on_every_node(mesh: Engines) -> None:
    hosts = await mesh.found("a", "b", "c")
    for number, host in enumerate(hosts):
        applied = await host.up.propose(b"%d" % number, 2)
        assert applied.result == number + 1
        assert host.machine.commands[-1] == b"%d" % number
    for host in hosts:
        assert await host.up.read_barrier(2) >= applied.index
        assert len(host.machine.commands) == 3
    await mesh.converged()
    assert len({host.machine.digest() for host in hosts}) == 1


async def test_concurrent_proposals_keep_each_its_own_outcome(mesh: Engines) -> None:
    hosts = await mesh.found("a", "b", "c")
    commands = [b"%d" % number for number in range(200)]
    done = await asyncio.gather(*(hosts[n % 3].up.propose(command, 5) for n, command in enumerate(commands)))
    await mesh.converged()
    assert sorted(hosts[0].machine.commands) == sorted(commands)
    assert [hosts[0].machine.commands[applied.result - 1] for applied in done] == commands


async def test_a_barrier_puts_nothing_into_the_log(mesh: Engines) -> None:
    hosts = await mesh.found("a", "b", "c")
    written = (await hosts[0].up.propose(b"x", 2)).index
    for host in hosts:
        assert min(await asyncio.gather(*(host.up.read_barrier(2) for _ in range(50)))) >= written
    assert {host.up.status().last_index for host in hosts} == {written}


async def test_a_cut_off_leader_does_not_know_the_outcome(mesh: Engines) -> None:
    await mesh.found("a", "b", "c")
    leader = await mesh.elected()
    others = [host for host in mesh.hosts.values() if host is not leader]
    mesh.network.cut([leader.name], [host.name for host in others])
    with pytest.raises(UnknownOutcomeError):
        await leader.up.propose(b"lost", 0.1)
    after = await mesh.elected([host.name for host in others])
    await after.up.propose(b"kept", 2)
    mesh.network.heal()
    await mesh.converged()
    assert leader.machine.commands == [b"kept"]


async def test_without_a_leader_nothing_is_changed(mesh: Engines) -> None:
    hosts = await mesh.found("a", "b", "c")
    mesh.network.cut(["a"], ["b"], ["c"])
    await mesh.until(lambda: not any(host.up.status().quorum for host in hosts))
    follower = next(host for host in hosts if host.up.status().role is not Role.LEADER)
    with pytest.raises(NoQuorumError):
        await follower.up.propose(b"x", 0.1)
    with pytest.raises(NoQuorumError):
        await follower.up.read_barrier(0.1)
    mesh.network.heal()
    await mesh.elected()
    await follower.up.propose(b"y", 5)
    assert follower.machine.commands == [b"y"]


async def test_a_proposal_waits_for_the_next_leader(mesh: Engines) -> None:
    await mesh.found("a", "b", "c")
    leader = await mesh.elected()
    await mesh.crash(leader.name)
    survivor = next(host for host in mesh.hosts.values() if host.engine is not None)
    transport = survivor.transport
    assert transport is not None
    await mesh.until(lambda: leader.name not in transport.up)
    await survivor.up.propose(b"x", 5)
    assert survivor.machine.commands == [b"x"]


async def test_a_forwarded_proposal_ends_when_the_leader_dies(mesh: Engines) -> None:
    await mesh.found("a", "b", "c")
    leader = await mesh.elected()
    follower = next(host for host in mesh.hosts.values() if host is not leader)
    proposal = asyncio.ensure_future(follower.up.propose(b"x", 30))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await mesh.crash(leader.name)
    await asyncio.wait([proposal], timeout=5)
    assert isinstance(proposal.exception(), UnknownOutcomeError) or proposal.result().result == 1


async def test_a_command_that_raises_is_an_outcome(mesh: Engines) -> None:
    hosts = await mesh.found("a", "b", "c")
    for host in hosts[:2]:
        with pytest.raises(WeftmeshError, match="failed in the state machine"):
            await host.up.propose(b"boom", 2)
    await hosts[0].up.propose(b"x", 2)
    await mesh.converged()
    assert [host.failures for host in hosts] == [[], [], []]


async def test_limits(mesh: Engines) -> None:
    mesh.settings = with_settings(pending_limit=3, command_limit_bytes=100)
    (host,) = await mesh.found("a")
    with pytest.raises(InvalidInputError):
        await host.up.propose(b"x" * 101, 1)
    waiting = [asyncio.ensure_future(host.up.propose(b"x", 2)) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(OverloadedError):
        await host.up.propose(b"y", 2)
    await asyncio.gather(*waiting)
    await host.up.propose(b"z", 2)


async def test_members_come_and_go(mesh: Engines) -> None:
    a, b, c = await mesh.found("a", "b", "c")
    await b.up.change_member("c", None, None, 5)
    assert set(a.up.status().voters) == {"a", "b"}
    await mesh.until(lambda: c.up.status().role is Role.JOINING)
    await a.up.change_member("c", None, None, 5)
    await a.up.change_member("b", MemberRole.VOTER, "b:2", 5)
    await mesh.until(lambda: b.up.status().voters["b"] == "b:2")
    await a.up.change_member("b", None, None, 5)
    with pytest.raises(PreconditionError, match="last voter"):
        await a.up.change_member("a", None, None, 5)
    await a.up.propose(b"alone", 2)


async def test_a_leader_that_is_removed_hands_over(mesh: Engines) -> None:
    await mesh.found("a", "b", "c")
    leader = await mesh.elected()
    await leader.up.change_member(leader.name, None, None, 5)
    rest = [name for name in mesh.hosts if name != leader.name]
    after = await mesh.elected(rest)
    assert set(after.up.status().voters) == set(rest)
    await mesh.until(lambda: leader.up.status().role is Role.JOINING)
    await after.up.propose(b"x", 2)


async def test_leadership_is_transferred(mesh: Engines) -> None:
    await mesh.found("a", "b", "c")
    leader = await mesh.elected()
    assert await leader.up.transfer_leadership(5)
    after = await mesh.elected([name for name in mesh.hosts if name != leader.name])
    await leader.up.propose(b"x", 2)
    await after.up.propose(b"y", 2)
    (alone,) = [host for host in mesh.hosts.values() if host not in (leader, after)]
    assert await alone.up.transfer_leadership(1)


async def test_everybody_restarts_from_disk(mesh: Engines) -> None:
    hosts = await mesh.found("a", "b", "c")
    for number in range(20):
        await hosts[number % 3].up.propose(b"%d" % number, 2)
    before = list(hosts[0].machine.commands)
    for host in hosts:
        await mesh.crash(host.name)
    for host in hosts:
        await mesh.start(host.name)
    leader = await mesh.elected()
    await leader.up.read_barrier(5)
    assert leader.machine.commands == before
    await mesh.converged()


async def test_a_node_far_behind_gets_a_snapshot(mesh: Engines) -> None:
    mesh.settings = with_settings(snapshot_every_entries=20, trailing_entries=5, chunk_bytes=100)
    await mesh.found("a", "b", "c")
    await mesh.crash("c")
    leader = await mesh.elected("ab")
    for number in range(100):
        await leader.up.propose(b"%d" % number, 2)
    # until no other snapshot is due: one that is taken meanwhile may make a second one necessary
    await mesh.until(lambda: leader.up.status().snapshot_index > leader.up.status().last_index - 20)
    c = await mesh.start("c")
    await mesh.converged()
    assert c.machine.restored == 1
    assert c.up.status().voters == leader.up.status().voters
    await mesh.crash("c")
    c = await mesh.start("c")
    await mesh.converged()
    assert c.failures == []


async def test_hostile_messages_change_nothing(mesh: Engines) -> None:
    a, b, _ = await mesh.found("a", "b", "c")
    await a.up.propose(b"x", 2)
    leader = await mesh.elected()
    term, last = leader.up.status().term, leader.up.status().last_index
    entry = raft_pb2.LogEntry(index=last + 1, term=term, payload=b"\xff\xff\xff")
    messages = [
        raft_pb2.RaftMessage(),
        raft_pb2.RaftMessage(term=1 << 63, vote_request=raft_pb2.VoteRequest()),
        raft_pb2.RaftMessage(term=term, append_entries=raft_pb2.AppendEntries(prev_index=last, entries=[entry])),
        raft_pb2.RaftMessage(term=term, append_entries=raft_pb2.AppendEntries(prev_index=5, commit_index=1 << 40)),
        raft_pb2.RaftMessage(term=term, append_response=raft_pb2.AppendResponse(accepted=True, match_index=1 << 50)),
        raft_pb2.RaftMessage(term=term, append_response=raft_pb2.AppendResponse(prev_index=last, hint_index=0)),
        raft_pb2.RaftMessage(term=term, reject_proposals=raft_pb2.RejectProposals(proposal_ids=[1], reason="why")),
        raft_pb2.RaftMessage(term=term, timeout_now=raft_pb2.TimeoutNow()),
    ]
    for host in mesh.hosts.values():
        for peer in ("mallory", "b"):
            host.up.on_messages(peer, messages)
            assert host.up.on_snapshot_chunk(peer, raft_pb2.SnapshotChunk(index=1 << 40, size_bytes=1 << 50)) is None
            host.up.on_snapshot_sent(peer, raft_pb2.InstallSnapshotResponse(term=0, next_offset=1 << 62))
    await mesh.elected()
    await b.up.propose(b"y", 5)
    await mesh.converged()
    assert a.machine.commands == [b"x", b"y"]
    assert all(host.failures == [] for host in mesh.hosts.values())


async def test_a_broken_disk_ends_the_engine(mesh: Engines) -> None:
    hosts = await mesh.found("a", "b", "c")
    leader = await mesh.elected()
    leader.log.fail_with(OSError("no space left"))
    with pytest.raises(UnknownOutcomeError):
        await leader.up.propose(b"x", 2)
    assert len(leader.failures) == 1
    with pytest.raises(NoQuorumError):
        await leader.up.propose(b"y", 2)
    after = await mesh.elected([host.name for host in hosts if host is not leader])
    await after.up.propose(b"z", 2)


async def test_a_damaged_snapshot_refuses_to_start(mesh: Engines) -> None:
    mesh.settings = with_settings(snapshot_every_entries=5)
    (host,) = await mesh.found("a")
    for number in range(20):
        await host.up.propose(b"%d" % number, 2)
    await mesh.until(lambda: host.up.status().snapshot_index > 5)
    await mesh.crash("a")
    path = max(host.snapshots.files)
    host.snapshots.files[path] = host.snapshots.files[path][:-3]
    with pytest.raises(DataCorruptionError):
        await mesh.start("a")
    host.engine = None


async def test_followers_learn_the_time_of_a_commit(mesh: Engines) -> None:
    hosts = await mesh.found("a", "b", "c")
    await hosts[0].up.propose(b"first", 2)
    await hosts[0].up.propose(b"x", 2)
    await mesh.converged()
    times = {host.machine.times_us[-1] for host in hosts}
    assert len(times) == 1
    assert times != {0}


async def test_observers_hear_of_changes(mesh: Engines) -> None:
    seen: list[RaftStatus] = []
    a, _, _ = await mesh.found("a", "b", "c")
    a.up.on_change(seen.append)
    mesh.network.cut(["a"], ["b", "c"])
    await mesh.until(lambda: any(not status.quorum for status in seen))
    mesh.network.heal()
    await mesh.until(lambda: seen[-1].quorum)
    assert {peer.name for peer in seen[-1].peers} == {"b", "c"}


async def test_a_stopped_engine_takes_nothing(mesh: Engines) -> None:
    (host,) = await mesh.found("a")
    engine = host.up
    await engine.stop()
    host.engine = None
    with pytest.raises(NoQuorumError):
        await engine.propose(b"x", 1)


async def test_proposal_ids_of_two_runs_do_not_meet(mesh: Engines) -> None:
    ids: list[int] = []
    for founding in (True, False):
        host = await mesh.start("a", founding=founding)
        index = (await host.up.propose(b"x", 2)).index
        ids += raft_pb2.LogPayload.FromString(host.log.entry(index).payload).proposal_ids
        await mesh.crash("a")
    assert abs(ids[0] - ids[1]) > 1 << 20
