"""Observers get the log and serve it; they never vote, never count, and become voters only when they have caught up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.fakes.raft_cluster import Cluster, HardenedNode, Write, with_settings

from weftmesh.agent.raft.core.membership import Configuration, is_single_change, to_membership
from weftmesh.agent.raft.core.stock import peer_of
from weftmesh.agent.raft.engine import MemberRole, Role
from weftmesh.agent.raft.membership_change import changed
from weftmesh.core.errors import WeftmeshError
from weftmesh.mesh.v1 import raft_pb2


def addresses(names: str) -> dict[str, str]:
    return {name: f"{name}:1" for name in names}


def members(voters: str, observers: str = "", joining: str = "") -> Configuration:
    return Configuration(addresses(voters), addresses(observers + joining), frozenset(joining))


def become(c: Cluster, leader: str, wanted: Configuration) -> Write:
    return c[leader].submit(raft_pb2.LogPayload(membership=to_membership(*wanted)))  # type: ignore[no-any-return]


@contextmanager
def with_observer(voters: str, joining: bool = False) -> Iterator[Cluster]:
    """A mesh of these voters led by the first, and the observer X that has caught up."""
    with Cluster("hardened", voters, settings=with_settings(promote_lag_entries=2)) as c:
        c.nodes["X"] = HardenedNode(c, "X", {}, c.settings, 1)
        c.elect(voters[0], voters)
        c.names.append("X")
        for voter in voters:
            c.link(voter, "X", True)
        become(c, voters[0], members(voters, *(("", "X") if joining else ("X", ""))))
        c.pump(voters + "X", 8)
        yield c


def test_an_observer_gets_the_log_and_applies_it() -> None:
    with with_observer("ABC") as c:
        write = c["A"].write(b"x")
        c.pump("ABCX", 4)
        assert write.outcome == "ok"
        assert c.commands("X") == [b"x"]
        status = c["X"].core.status()
        assert (status.role, status.leader, status.quorum) == (Role.OBSERVER, "A", True)
        assert set(status.voters) == {"A", "B", "C"}
        assert set(status.observers) == {"X"}


def test_an_observer_of_a_sole_voter_hears_it() -> None:
    with with_observer("A") as c:
        c.step("A", 1.0)
        assert c["A"].core.next_deadline_s() <= c.world.now_s + c.settings.idle_heartbeat_s
        c.deliver("A", "X")
        assert c["X"].core.status().quorum


def test_an_observer_writes_through_the_leader() -> None:
    with with_observer("ABC") as c:
        write = c["X"].write(b"x")
        c.pump("ABCX", 6)
        assert write.outcome == "ok"


def test_an_observer_reads_through_the_leader() -> None:
    with with_observer("ABC") as c:
        c["A"].write(b"x")
        served: list[int | WeftmeshError] = []
        c["X"].core.begin_read(served.append)
        c.pump("ABCX", 4)
        assert len(served) == 1
        assert c.commands("X") == [b"x"]


def test_an_observer_counts_for_no_commit() -> None:
    with with_observer("ABC") as c:
        c.isolate("B")
        c.isolate("C")
        write = c["A"].write(b"x")
        c.pump("AX", 4)
        assert write.outcome == ""
        assert c.commands("X") == []


def test_an_observer_confirms_no_read_and_keeps_no_leader() -> None:
    with with_observer("ABC") as c:
        c.isolate("B")
        c.isolate("C")
        served: list[int | WeftmeshError] = []
        c["A"].core.begin_read(served.append)
        c.pump("AX", 4)
        assert served == []
        c.pump("AX", 20)
        assert not c.leads("A")


def test_an_observer_never_campaigns() -> None:
    with with_observer("ABC") as c:
        term = c["X"].core.status().term
        for voter in "ABC":
            c.link("X", voter, False)
        for _ in range(20):
            c.step("X", 1.0)
        assert c["X"].core.status().term == term
        assert not any(c.queues["X", voter] for voter in "ABC")


def test_a_vote_of_an_observer_does_not_count() -> None:
    with with_observer("ABC") as c:
        c["B"].core._election_deadline_s = 0.0
        c.step("B", 0.0)
        c.vote("B", "X", c["B"].core.status().term)
        assert not c.leads("B")
        c.vote("B", "C", c["B"].core.status().term)
        assert c.leads("B")


def test_an_observer_gets_a_snapshot() -> None:
    with with_observer("ABC") as c:
        for voter in "ABC":
            c.link("X", voter, False)
        for number in range(20):
            c["A"].write(b"%d" % number)
        c.pump("ABC", 6)
        c["A"].compact()
        c["A"].sync()
        for voter in "ABC":
            c.link("X", voter, True)
        c.pump("ABCX", 30)
        assert c["X"].machine.restored == 1
        assert c.commands("X") == c.commands("A")


def test_an_observer_that_restarts_knows_what_it_is() -> None:
    with with_observer("ABC") as c:
        c["X"].sync()
        c.restart("X")
        assert c["X"].core.status().role is Role.OBSERVER


def test_a_snapshot_remembers_the_observers() -> None:
    with with_observer("ABC", joining=True) as c:
        c["A"].compact()
        c["A"].sync()
        c.restart("A")
        status = c["A"].core.status()
        assert (set(status.observers), status.joining) == ({"X"}, {"X"})


def test_one_that_has_caught_up_is_promoted_and_counts() -> None:
    with with_observer("A") as c:
        write = become(c, "A", members("AX"))
        c.pump("AX", 4)
        assert write.outcome == "ok"
        assert c["X"].core.status().role is Role.FOLLOWER
        c.link("A", "X", False)
        stuck = c["A"].write(b"x")
        c.pump("A", 4)
        assert stuck.outcome == ""


def test_one_that_is_behind_is_not_promoted() -> None:
    with with_observer("ABC") as c:
        for number in range(9):
            c["A"].write(b"%d" % number)
            c.step("A", 0.0)
            c["A"].sync()
            for voter in "BC":
                c.deliver("A", voter)
                c[voter].sync()
                c.deliver(voter, "A")
        c.step("A", 0.0)
        lacks = (
            c.commit("A") - c["A"].core._progress[next(iter(c["A"].core._members - c["A"].core._others))].match_index
        )
        refused: list[object] = []
        payload = raft_pb2.LogPayload(membership=to_membership(*members("ABCX")))
        c["A"].proposals.submit(payload, refused.append)
        c.step("A", 0.0)
        assert lacks == 9
        (error,) = refused
        assert isinstance(error, WeftmeshError)
        assert (error.reason, "lacks 9 entries" in str(error)) == ("OBSERVER_BEHIND", True)


def test_a_voter_that_asks_is_told_how_far_behind_the_observer_is() -> None:
    with with_observer("ABC") as c:
        refused: list[object] = []
        payload = raft_pb2.LogPayload(membership=to_membership(*members("ABCX")))
        c["B"].proposals.submit(payload, refused.append)
        c.step("B", 0.0)
        rejection = raft_pb2.RejectProposals(
            proposal_ids=payload.proposal_ids, reason="observer_behind", entries_behind=5312
        )
        c.receive("A", "B", raft_pb2.RaftMessage(term=1, reject_proposals=rejection))
        assert "lacks 5,312 entries" in str(refused[0])


def test_one_without_a_log_is_not_promoted_however_young_the_mesh() -> None:
    with with_observer("ABC") as c:
        c["A"].core._settings = with_settings(promote_lag_entries=1000)
        c["A"].core._progress[peer_of("X")].match_index = 0
        refused: list[object] = []
        payload = raft_pb2.LogPayload(membership=to_membership(*members("ABCX")))
        c["A"].proposals.submit(payload, refused.append)
        c.step("A", 0.0)
        (error,) = refused
        assert isinstance(error, WeftmeshError)
        assert error.reason == "OBSERVER_BEHIND"


def test_one_that_is_away_is_not_promoted() -> None:
    with with_observer("ABC") as c:
        c.link("A", "X", False)
        refused: list[object] = []
        payload = raft_pb2.LogPayload(membership=to_membership(*members("ABCX")))
        c["A"].proposals.submit(payload, refused.append)
        c.step("A", 0.0)
        (error,) = refused
        assert isinstance(error, WeftmeshError)
        assert error.reason == "OBSERVER_SILENT"


def test_a_demoted_leader_hands_over_and_goes_on_as_an_observer() -> None:
    with with_observer("ABC") as c:
        done = become(c, "A", members("BC", "XA"))
        c.pump("ABCX", 6)
        assert done.outcome == "ok"
        assert not c.leads("A")
        (leader,) = [name for name in "BC" if c.leads(name)]
        c[leader].write(b"x")
        c.pump("ABCX", 6)
        assert c["A"].core.status().role is Role.OBSERVER
        assert c.commands("A") == [b"x"]


def test_an_observer_of_a_later_term_is_not_cut_off_for_ever() -> None:
    with with_observer("ABC") as c:
        term = c["A"].core.status().term
        c["X"].core._SyncObj__setCurrentTerm(term + 3, None)
        c.pump("ABCX", 2)
        assert not c.leads("A")
        for voter in "ABC":
            c[voter].core._new_election_deadline()
        c.pump("ABCX", 40)
        (leader,) = [name for name in "ABC" if c.leads(name)]
        assert c["X"].core.status().leader == leader


def test_a_removed_observer_learns_it() -> None:
    with with_observer("ABC") as c:
        become(c, "A", members("ABC"))
        c.pump("ABCX", 6)
        assert c["X"].core.status().role is Role.JOINING
        assert "X" not in c["A"].peers


def test_what_changes_is_one_member_at_a_time() -> None:
    now = members("AB", "X", "Y")
    for single in (members("AB", "XZ", "Y"), members("ABX", "", "Y"), members("A", "XB", "Y"), members("AB", "XY")):
        assert is_single_change(now, single)
    for other in (now, members("ABXY"), members("A", "X"), members("", "XAB", "Y")):
        assert not is_single_change(now, other)


def test_a_new_voter_comes_in_as_an_observer() -> None:
    now = members("AB")
    first = changed(now, "C", MemberRole.VOTER, "C:1")
    assert first == members("AB", "", "C")
    assert changed(first, "C", MemberRole.VOTER, None) == members("ABC")
    assert changed(first, "C", MemberRole.OBSERVER, None) == members("AB", "C")
    assert changed(now, "B", MemberRole.OBSERVER, None) == members("A", "B")
    assert changed(now, "B", None, None) == members("A")
    assert changed(now, "B", MemberRole.VOTER, "B:2").voters["B"] == "B:2"


@pytest.mark.parametrize("remaining", [("BC", ""), ("AC", "B"), ("AC", "")])
def test_no_voter_goes_if_those_that_answer_would_be_no_majority(remaining: tuple[str, str]) -> None:
    with Cluster("hardened", "ABC") as c:
        c.elect("A", "ABC")
        c.isolate("C")
        c.pump("AB", 8)
        refused: list[object] = []
        c["A"].proposals.submit(raft_pb2.LogPayload(membership=to_membership(*members(*remaining))), refused.append)
        c.step("A", 0.0)
        (error,) = refused
        assert isinstance(error, WeftmeshError)
        assert error.reason == "VOTERS_SILENT"
        gone = become(c, "A", members("AB"))
        c.pump("AB", 4)
        assert gone.outcome == "ok"


def test_an_observer_ticks_when_its_leader_has_been_silent_too_long() -> None:
    with with_observer("ABC") as c:
        core = c["X"].core
        assert core.status().quorum
        due_s = core.next_deadline_s()
        assert due_s <= c.world.now_s + c.settings.election_max_s
        c.world.now_s = due_s
        c["X"].tick()
        assert not core.status().quorum
        assert core.next_deadline_s() > c.world.now_s + c.settings.election_max_s
