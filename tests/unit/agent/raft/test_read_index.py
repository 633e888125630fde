"""A read sees everything that was acknowledged before it began, and puts nothing into the log."""

from __future__ import annotations

import pytest
from tests.fakes.raft_cluster import Cluster, HardenedNode, with_settings

from weftmesh.agent.raft.core.codec import ProtocolError
from weftmesh.core.errors import NoQuorumError, OverloadedError, WeftmeshError
from weftmesh.mesh.v1 import raft_pb2

Outcomes = list[int | WeftmeshError]


def read(c: Cluster, name: str) -> Outcomes:
    """Begin a read; what it comes to is put into the list."""
    outcomes: Outcomes = []
    c[name].core.begin_read(outcomes.append)
    return outcomes


def settled(names: str = "ABC") -> Cluster:
    return Cluster("hardened", names)


def lead(c: Cluster, name: str = "A") -> None:
    """One leads, everybody knows everything, and nothing is on its way."""
    c.elect(name, "".join(c.names))
    c.pump("".join(c.names), 4)


def answer(c: Cluster, voter: str, leader: str, round_: int) -> None:
    core = c[leader].core
    response = raft_pb2.AppendResponse(accepted=True, match_index=core.status().last_index, round=round_)
    c[leader].receive(voter, raft_pb2.RaftMessage(term=core.status().term, append_response=response))


def rounds(c: Cluster, sender: str, receiver: str) -> list[int]:
    return [message.append_entries.round for message in c.queues[sender, receiver] if message.append_entries.round]


def test_the_leader_serves_when_one_other_of_three_has_answered() -> None:
    with settled() as c:
        lead(c)
        last, outcomes = c.last("A"), read(c, "A")
        c.step("A", 0.0)
        assert outcomes == []
        c.deliver("A", "B")
        c.deliver("B", "A")
        c.step("A", 0.0)
        assert outcomes == [last]
        assert c.last("A") == last


def test_a_follower_asks_and_waits_until_it_has_applied() -> None:
    with settled() as c:
        lead(c)
        c.isolate("C")
        c["A"].write(b"x")
        c.pump("AB", 4)
        c.isolate("C", up=True)
        c.queues["A", "C"].clear()
        c.append("C", "A", c["A"].core.status().term, (2, 1), 2, 2)
        outcomes = read(c, "C")
        c.step("C", 0.0)
        c.deliver("C", "A")
        for name in "AB":
            c.step("A", 0.0)
            c.deliver("A", "B")
            c.deliver("B", name)
        c.step("A", 0.0)
        for message in list(c.queues["A", "C"]):
            if message.HasField("read_index_response"):
                c.receive("A", "C", message)
        c.step("C", 0.0)
        assert outcomes == []
        c.pump("ABC", 8)
        assert outcomes == [c.last("A")]
        assert c.commands("C") == [b"x"]


def test_all_reads_that_wait_share_one_question() -> None:
    with settled() as c:
        lead(c)
        served = [read(c, "B") for _ in range(20)]
        c.step("B", 0.0)
        assert len([m for m in c.queues["B", "A"] if m.HasField("read_index_request")]) == 1
        c.pump("ABC", 4)
        assert served == [[c.last("A")]] * 20


def test_a_read_that_comes_later_needs_an_answer_of_its_own() -> None:
    with settled() as c:
        lead(c)
        first = read(c, "A")
        c.step("A", 0.0)
        c.deliver("A", "B")
        second = read(c, "A")
        c.deliver("B", "A")
        c.step("A", 0.0)
        assert (len(first), len(second)) == (1, 0)
        c.pump("ABC", 2)
        assert len(second) == 1


def test_nothing_is_served_before_an_entry_of_the_own_term_is_committed() -> None:
    """What the leader before committed, and acknowledged, may be in this log without being known as committed."""
    with settled() as c:
        lead(c, "A")
        c["A"].write(b"x")
        c.step("A", 0.0)
        c["A"].sync()
        for name in "BC":
            c.deliver("A", name)
            c[name].sync()
        c.deliver("B", "A")
        c.step("A", 0.0)
        c.isolate("A")
        commit = c.commit("B")
        c.lead("B", c["B"].core.status().term + 1)
        outcomes = read(c, "B")
        c.step("B", 0.0)
        assert c.commit("B") == commit
        for round_ in rounds(c, "B", "C"):
            answer_without_entries = raft_pb2.AppendResponse(accepted=True, match_index=0, round=round_)
            message = raft_pb2.RaftMessage(term=c["B"].core.status().term, append_response=answer_without_entries)
            c["B"].receive("C", message)
        c.step("B", 0.0)
        assert outcomes == []
        c.pump("BC", 6)
        assert len(outcomes) == 1
        assert c.commands("B") == [b"x"]


def test_a_leader_that_was_deposed_unnoticed_serves_nothing() -> None:
    with Cluster("hardened", "ABC", settings=with_settings(election_max_s=30.0)) as c:
        lead(c)
        c.isolate("A")
        c.elect("B", "BC")
        c["B"].write(b"new")
        c.pump("BC", 4)
        assert c.commands("C") == [b"new"]
        outcomes = read(c, "A")
        c.step("A", 0.0)
        assert c.leads("A")
        c.isolate("A", up=True)
        c.step("A", 0.0)
        for other in "BC":
            c.deliver("A", other)
            c.deliver(other, "A")
        c.step("A", 0.0)
        assert outcomes == []
        c.pump("ABC", 8)
        assert len(outcomes) == 1
        assert c.commands("A") == [b"new"]


def test_an_answer_to_an_older_message_does_not_count() -> None:
    with settled() as c:
        lead(c)
        c.step("A", 5 * c.settings.idle_heartbeat_s)
        (before,) = rounds(c, "A", "B")
        outcomes = read(c, "A")
        c.step("A", 0.0)
        for _ in range(3):
            answer(c, "B", "A", before)
            answer(c, "C", "A", before)
            c.step("A", 0.0)
        assert outcomes == []
        answer(c, "B", "A", rounds(c, "A", "B")[-1])
        c.step("A", 0.0)
        assert len(outcomes) == 1


def test_only_voters_count_and_each_of_them_once() -> None:
    with settled("ABCDE") as c:
        lead(c)
        outcomes = read(c, "A")
        c.step("A", 0.0)
        asked = rounds(c, "A", "B")[-1]
        for voter in "BBBXY":
            answer(c, voter, "A", asked)
        c.step("A", 0.0)
        assert outcomes == []
        answer(c, "C", "A", rounds(c, "A", "C")[-1])
        c.step("A", 0.0)
        assert len(outcomes) == 1


def test_an_answer_to_what_was_never_sent_is_refused() -> None:
    with settled() as c:
        lead(c)
        outcomes = read(c, "A")
        with pytest.raises(ProtocolError, match="not sent"):
            answer(c, "B", "A", 1 << 61)
        c.step("A", 0.0)
        assert outcomes == []


def test_a_lost_question_is_made_good_by_the_next_heartbeat() -> None:
    with settled() as c:
        lead(c)
        outcomes = read(c, "A")
        c.step("A", 0.0)
        for other in "BC":
            c.queues["A", other].clear()
        c.pump("ABC", 2)
        assert len(outcomes) == 1


def test_a_follower_asks_again_when_its_question_is_lost() -> None:
    with settled() as c:
        lead(c)
        outcomes = read(c, "B")
        c.step("B", 0.0)
        c.queues["B", "A"].clear()
        assert c["B"].core.next_deadline_s() <= c.world.now_s + c.settings.patience_s
        c.pump("ABC", 8)
        assert len(outcomes) == 1


def test_a_follower_asks_the_next_leader() -> None:
    with settled() as c:
        lead(c)
        c.isolate("A")
        outcomes = read(c, "B")
        c.elect("C", "BC")
        c.pump("BC", 6)
        assert len(outcomes) == 1


def test_who_does_not_lead_says_so() -> None:
    with settled() as c:
        lead(c)
        request = raft_pb2.ReadIndexRequest(read_id=7)
        c.receive("C", "B", raft_pb2.RaftMessage(term=1, read_index_request=request))
        assert [m.read_index_response.refused for m in c.queues["B", "C"] if m.HasField("read_index_response")] == [
            True
        ]
        outcomes = read(c, "C")
        c.step("C", 0.0)
        (asked,) = [m.read_index_request for m in c.queues["C", "A"] if m.HasField("read_index_request")]
        c.queues["C", "A"].clear()
        refusal = raft_pb2.ReadIndexResponse(read_id=asked.read_id, refused=True)
        c.receive("A", "C", raft_pb2.RaftMessage(read_index_response=refusal))
        c.step("C", c.settings.retry_s)
        assert [m.read_index_request for m in c.queues["C", "A"] if m.HasField("read_index_request")] == [asked]
        c.pump("ABC", 4)
        assert len(outcomes) == 1


def test_a_stranger_is_told_nothing() -> None:
    with settled() as c:
        lead(c)
        c.nodes["X"] = HardenedNode(c, "X", {}, c.settings, 1)
        c.up.add(("A", "X"))
        request = raft_pb2.ReadIndexRequest(read_id=7)
        c.receive("X", "A", raft_pb2.RaftMessage(term=1, read_index_request=request))
        c.pump("ABC", 4)
        answers = [m.read_index_response for m in c.queues["A", "X"] if m.HasField("read_index_response")]
        assert [told.refused for told in answers] == [True]


def test_an_answer_for_an_earlier_run_matches_nothing() -> None:
    with settled() as c:
        lead(c)
        read(c, "B")
        c.step("B", 0.0)
        (asked,) = [m.read_index_request for m in c.queues["B", "A"] if m.HasField("read_index_request")]
        c.restart("B")
        outcomes = read(c, "B")
        c.step("B", 0.0)
        late = raft_pb2.ReadIndexResponse(read_id=asked.read_id, index=1)
        c.receive("A", "B", raft_pb2.RaftMessage(read_index_response=late))
        c.step("B", 0.0)
        assert outcomes == []


def test_a_sole_voter_answers_at_once() -> None:
    with settled("A") as c:
        c.elect("A", "A")
        c.pump("A", 2)
        outcomes = read(c, "A")
        c.step("A", 0.0)
        assert outcomes == [c.last("A")]


def test_a_slow_disk_of_a_follower_delays_no_read() -> None:
    with settled() as c:
        lead(c)
        c.isolate("C")
        c["A"].write(b"x")
        c.step("A", 0.0)
        c.deliver("A", "B")
        outcomes = read(c, "A")
        c.step("A", 0.0)
        c.deliver("A", "B")
        c.deliver("B", "A")
        c.step("A", 0.0)
        assert c.commands("A") == []
        assert len(outcomes) == 1


def test_a_read_that_nobody_waits_for_is_forgotten() -> None:
    with settled() as c:
        c["A"]._settings = with_settings(pending_limit=2)
        c.restart("A")
        outcomes: Outcomes = []
        tickets = [c["A"].core.begin_read(outcomes.append) for _ in range(2)]
        with pytest.raises(OverloadedError):
            c["A"].core.begin_read(outcomes.append)
        c["A"].core.forget_read(tickets[0])
        c["A"].core.begin_read(outcomes.append)
        lead(c)
        assert len(outcomes) == 2


def test_reads_end_with_the_engine() -> None:
    with settled() as c:
        outcomes = read(c, "A")
        c["A"].core.give_up_reads(NoQuorumError("this node shuts down"))
        assert [type(outcome) for outcome in outcomes] == [NoQuorumError]


def test_a_tick_without_reads_does_nothing_for_them() -> None:
    with settled() as c:
        lead(c)
        outcomes = read(c, "A")
        c.pump("ABC", 3)
        assert len(outcomes) == 1
        assert not c["A"].core._reads_wait
        c.step("A", 0.0)
        assert not rounds(c, "A", "B")
