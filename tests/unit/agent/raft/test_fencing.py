"""Entries that only nodes of a feature level take in: what such a node does with them, and what any other does."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.fakes.raft_cluster import Cluster
from tests.fakes.raft_engines import Engines

from weftmesh.agent.raft.core.codec import ProtocolError, check, parse_payload
from weftmesh.agent.raft.core.fencing import MARK, command_in, configuration_in, payload_of
from weftmesh.core.features.levels import SUPPORTED_LEVEL, UnsupportedLevelError
from weftmesh.mesh.v1 import raft_pb2

TOO_HIGH = SUPPORTED_LEVEL + 1


@pytest.fixture
async def mesh() -> AsyncIterator[Engines]:
    engines = Engines()
    yield engines
    await engines.stop()


async def test_every_node_applies_a_fenced_command_once_also_after_a_restart(mesh: Engines) -> None:
    hosts = await mesh.found("a", "b", "c")
    for host in hosts:
        await host.up.propose(host.name.encode(), 5, level=SUPPORTED_LEVEL)
    await mesh.converged()
    await mesh.crash("b")
    again = await mesh.start("b")
    await again.up.read_barrier(5)

    assert again.machine.commands == hosts[0].machine.commands
    assert sorted(again.machine.commands) == [b"a", b"b", b"c"]
    assert set(again.up.status().voters) == {"a", "b", "c"}


def test_a_build_that_knows_no_levels_sees_a_membership_of_nobody() -> None:
    payload = payload_of(b"x", SUPPORTED_LEVEL)

    assert payload.HasField("membership")
    assert not payload.membership.voters
    assert (command_in(payload), configuration_in(payload)) == (b"x", None)


def test_a_command_of_the_first_level_stands_bare() -> None:
    assert payload_of(b"x", 1) == raft_pb2.LogPayload(command=b"x")


def test_a_follower_stops_before_it_takes_in_what_is_not_for_its_build() -> None:
    with Cluster("hardened", "ABC") as c:
        c.elect("A", "ABC")
        c.pump("ABC")
        before = c.last("B")
        c["A"].submit(payload_of(b"x", TOO_HIGH))

        with pytest.raises(
            UnsupportedLevelError, match=f"entry {before + 1} of the log needs feature level {TOO_HIGH}"
        ):
            c.pump("AB")

        assert (c.last("B"), c.commands("B")) == (before, [])


def test_a_node_does_not_load_a_log_that_is_not_for_its_build() -> None:
    with Cluster("hardened", "ABC") as c:
        c.elect("A", "ABC")
        c["A"].submit(payload_of(b"x", TOO_HIGH))
        c["A"].tick()
        c["A"].sync()

        with pytest.raises(UnsupportedLevelError):
            c.restart("A")


@pytest.mark.parametrize(
    "payload",
    [
        raft_pb2.LogPayload(fenced=raft_pb2.Fenced(level=0, command=b"x", mark=MARK)),
        raft_pb2.LogPayload(fenced=raft_pb2.Fenced(level=1, command=b"x", mark=MARK)),
        raft_pb2.LogPayload(fenced=raft_pb2.Fenced(level=1 << 20, command=b"x", mark=MARK)),
        raft_pb2.LogPayload(
            membership=raft_pb2.Membership(voters=[raft_pb2.Voter(name="a", address="a:1")]),
            fenced=raft_pb2.Fenced(level=2, command=b"x", mark=MARK),
        ),
        raft_pb2.LogPayload(fenced=raft_pb2.Fenced(level=2, command=b"x")),
        raft_pb2.LogPayload(membership=raft_pb2.Membership()),
    ],
    ids=["no level", "the first level", "an absurd level", "beside a membership", "no mark", "no fence"],
)
def test_what_is_no_fence_and_no_membership_is_malformed(payload: raft_pb2.LogPayload) -> None:
    with pytest.raises(ProtocolError):
        parse_payload(payload.SerializeToString())


def test_a_leader_takes_nothing_from_others_that_it_could_not_apply() -> None:
    payload = payload_of(b"x", TOO_HIGH)
    payload.proposal_ids.append(7)
    proposal = raft_pb2.Proposal(proposal_id=7, payload=payload)
    message = raft_pb2.RaftMessage(term=1, forward_proposals=raft_pb2.ForwardProposals(proposals=[proposal]))

    with pytest.raises(ProtocolError, match="a later feature level"):
        check(message)
