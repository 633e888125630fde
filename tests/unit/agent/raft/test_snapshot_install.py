"""A snapshot is prepared beside the core: what may happen meanwhile, and what is made of it afterwards."""

from __future__ import annotations

from tests.fakes.raft_cluster import Cluster, with_settings

from weftmesh.agent.raft.engine import Role
from weftmesh.mesh.v1 import raft_pb2

PREPARING_S = 30.0
"""Longer than many elections."""


def offer(c: Cluster, term: int = 2) -> int:
    """A is the leader of `term` and sends its snapshot to B, until B prepares it; what it covers."""
    c.fill("A", 12, 1)
    c.settle_commit("A", 12)
    c["A"].compact()
    c["A"].sync()
    for message in c.snapshot_messages("A", term):
        c.receive("A", "B", message)
    assert len(c["B"].received) == 1
    return 12


def heartbeat(c: Cluster, sender: str, term: int) -> None:
    """One that B must refuse, as its log does not reach that far."""
    append = raft_pb2.AppendEntries(prev_index=40, prev_term=1)
    c.receive(sender, "B", raft_pb2.RaftMessage(term=term, append_entries=append))


def append_of_term_1(c: Cluster, last: int, commit: int) -> None:
    """C leads term 3, and sends B the entries of term 1 up to `last`."""
    entries = [raft_pb2.LogEntry(index=index, term=1, payload=c.payload(index, 1)) for index in range(3, last + 1)]
    append = raft_pb2.AppendEntries(prev_index=2, prev_term=1, entries=entries, commit_index=commit)
    c.receive("C", "B", raft_pb2.RaftMessage(term=3, append_entries=append))


def test_heartbeats_hold_off_elections_while_it_is_prepared() -> None:
    with Cluster("hardened", "ABC") as c:
        offer(c)
        for _ in range(int(PREPARING_S / 0.5)):
            heartbeat(c, "A", 2)
            c.step("B", 0.5)
        status = c["B"].core.status()
        assert (status.term, status.leader, status.role) == (2, "A", Role.FOLLOWER)
        assert (c["B"].applied_index, c["B"].machine.restored) == (1, 0)
        c["B"].sync()
        assert (c["B"].applied_index, c["B"].machine.restored) == (12, 1)


def test_a_leader_that_falls_silent_meanwhile_is_replaced() -> None:
    with Cluster("hardened", "ABC") as c:
        offer(c)
        c.step("B", PREPARING_S)
        c.deliver("B", "C")
        c.deliver("C", "B")
        c.step("B", 0.0)
        assert c["B"].core.status().term == 3
        c["B"].sync()
        assert c["B"].applied_index == 12


def test_what_is_installed_is_acknowledged_to_the_leader_of_the_day() -> None:
    with Cluster("hardened", "ABC") as c:
        covered = offer(c)
        heartbeat(c, "C", 5)
        c.queues["B", "C"].clear()
        c["B"].sync()
        (message,) = c.queues["B", "C"]
        response = message.append_response
        assert (message.term, response.accepted, response.match_index) == (5, True, covered)


def test_another_snapshot_waits_until_the_first_is_installed() -> None:
    with Cluster("hardened", "ABC") as c:
        offer(c)
        c.fill("C", 20, 1)
        c.settle_commit("C", 20)
        c["C"].compact()
        c["C"].sync()
        second = c.snapshot_messages("C", 4)
        answer = c["B"].core.receive_snapshot("C", second[0].chunk)
        assert answer.next_offset == second[0].chunk.size_bytes, "nothing is wanted now"
        c["B"].sync()
        assert c["B"].applied_index == 12
        for message in second:
            c.receive("C", "B", message)
        c["B"].sync()
        assert (c["B"].applied_index, c["B"].machine.restored) == (20, 2)


def test_who_has_come_further_meanwhile_keeps_what_it_has() -> None:
    with Cluster("hardened", "ABC") as c:
        offer(c)
        append_of_term_1(c, last=15, commit=15)
        c.step("B", 0.0)
        c.step("B", 0.0)
        assert c["B"].applied_index == 15
        c["B"].sync()
        assert (c["B"].applied_index, c["B"].machine.restored, c.last("B")) == (15, 0, 15)


def test_entries_taken_meanwhile_stay_behind_the_snapshot() -> None:
    with Cluster("hardened", "ABC") as c:
        offer(c)
        append_of_term_1(c, last=15, commit=2)
        c["B"].sync()
        assert (c["B"].applied_index, c.last("B")) == (12, 15)


def test_a_stale_leader_is_told_the_term_and_nothing_is_taken() -> None:
    with Cluster("hardened", "ABC") as c:
        heartbeat(c, "C", 7)
        c.fill("A", 12, 1)
        c.settle_commit("A", 12)
        c["A"].compact()
        c["A"].sync()
        for message in c.snapshot_messages("A", 2):
            answer = c["B"].core.receive_snapshot("A", message.chunk)
            assert (answer.term, answer.next_offset) == (7, message.chunk.size_bytes)
        assert not c["B"].received
        assert c["B"].core.status().leader == "C"


def test_a_leader_learns_a_later_term_from_the_answer() -> None:
    with Cluster("hardened", "ABC") as c:
        c.elect("A", "ABC")
        term = c["A"].core.status().term
        c["A"].core.snapshot_sent("B", raft_pb2.InstallSnapshotResponse(term=term + 3))
        assert (c["A"].core.status().term, c["A"].core.status().role) == (term + 3, Role.FOLLOWER)


def test_a_snapshot_that_does_not_verify_is_sent_again() -> None:
    with Cluster("hardened", "ABC") as c:
        c.fill("A", 30, 1)
        c.settle_commit("A", 30)
        c["A"].compact()
        c["A"].sync()
        messages = c.snapshot_messages("A", 2)
        messages[1].chunk.data = b"?" * len(messages[1].chunk.data)
        for message in messages:
            c.receive("A", "B", message)
        c["B"].sync()
        assert c["B"].applied_index == 1
        for message in c.snapshot_messages("A", 2):
            c.receive("A", "B", message)
        c["B"].sync()
        assert c["B"].applied_index == 30


def far_behind(c: Cluster) -> None:
    """C misses so much that A, the leader, has only a snapshot for it."""
    c.elect("A", "ABC")
    c.isolate("C")
    for number in range(60):
        c["A"].write(b"%d" % number)
    c.pump("AB", 6)
    c["A"].compact()
    c["A"].sync()
    c.isolate("C", up=True)


def test_a_leader_is_heard_by_heartbeats_while_its_snapshot_is_on_the_way() -> None:
    with Cluster("hardened", "ABC") as c:
        far_behind(c)
        c.step("A", 0.0)
        kinds = []
        for _ in range(8):
            c.step("A", 0.2)
            kinds.append({message.WhichOneof("kind") for message in c.queues["A", "C"]})
            c.queues["A", "C"].clear()
        assert all("append_entries" in kind for kind in kinds)


def test_a_call_that_broke_goes_on_where_it_broke() -> None:
    with Cluster("hardened", "ABC", settings=with_settings(resend_s=0.2)) as c:
        far_behind(c)
        c.step("A", 0.0)
        for _ in range(4):
            c.deliver("A", "C")
            c.deliver("C", "A")
        at = c["A"].calls.sent_to("C")
        assert at
        c["A"].calls.end("C")
        c.queues["A", "C"].clear()
        c.step("A", 1.0)
        c.deliver("A", "C")
        answers = [message.answer for message in c.queues["C", "A"] if message.WhichOneof("kind") == "snapshot_answer"]
        assert answers[-1].next_offset >= at
        c.pump("ABC", 60)
        assert c["C"].machine.restored == 1
        assert c.commands("C") == c.commands("A")
