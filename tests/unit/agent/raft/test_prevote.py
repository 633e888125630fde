"""A campaign begins with a question: nobody's term rises before a majority would vote."""

from __future__ import annotations

from tests.fakes.raft_cluster import Cluster, with_settings

from weftmesh.agent.raft.engine import Role
from weftmesh.mesh.v1 import raft_pb2


def hears_nobody(c: Cluster, *names: str) -> None:
    """The election timeout of these nodes passes, and they tick."""
    c.world.now_s += c.settings.election_max_s
    for name in names:
        c[name].core._new_election_deadline()
    c.world.now_s += c.settings.election_max_s
    for name in names:
        c[name].tick()


def questions(c: Cluster, sender: str, receiver: str) -> list[raft_pb2.RaftMessage]:
    return [message for message in c.queues[sender, receiver] if message.vote_request.pre_vote]


def answer(c: Cluster, receiver: str, sender: str, term: int, refused: bool = False) -> None:
    response = raft_pb2.VoteResponse(pre_vote=True, refused=refused)
    c.receive(sender, receiver, raft_pb2.RaftMessage(term=term, vote_response=response))


def test_a_question_changes_nothing_on_disk() -> None:
    with Cluster("hardened", "ABC") as c:
        term = c["A"].core.status().term
        hears_nobody(c, "A")
        assert [message.term for message in questions(c, "A", "B")] == [term + 1]
        c.deliver("A", "B")
        assert [(node.log_storage.term, node.log_storage.vote) for node in c.nodes.values()] == [(term, "")] * 3


def test_a_majority_that_would_vote_makes_a_campaign() -> None:
    with Cluster("hardened", "ABCDE") as c:
        hears_nobody(c, "A")
        assert c["A"].core.status().role is Role.CANDIDATE
        for voter in "BC":
            c.deliver("A", voter)
            c.deliver(voter, "A")
        c.step("A")
        assert c["A"].core.status().term == 2
        for voter in "BC":
            c.deliver("A", voter)
            c.deliver(voter, "A")
        assert c.leads("A")


def test_voters_are_counted_and_not_their_answers() -> None:
    with Cluster("hardened", "ABCDE") as c:
        hears_nobody(c, "A")
        for _ in range(5):
            answer(c, "A", "B", 2)
            answer(c, "A", "X", 2)
        c.step("A", 0.0)
        assert c["A"].core.status().term == 1


def test_an_answer_for_another_term_does_not_count() -> None:
    with Cluster("hardened", "ABC") as c:
        hears_nobody(c, "A")
        for term in (0, 1, 3, 1 << 40):
            answer(c, "A", "B", term)
        c.step("A", 0.0)
        assert c["A"].core.status().term == 1


def test_an_answer_that_comes_after_a_leader_was_heard_does_not_count() -> None:
    with Cluster("hardened", "ABC") as c:
        hears_nobody(c, "A")
        c.append("A", "C", 1, (2, 1), 2, 2)
        answer(c, "A", "B", 2)
        c.step("A", 0.0)
        assert c["A"].core.status().term == 1
        assert c["A"].core.status().leader == "C"


def test_a_node_that_hears_a_leader_would_not_vote() -> None:
    with Cluster("hardened", "ABC") as c:
        c.elect("A", "ABC")
        c.pump("ABC")
        hears_nobody(c, "C")
        c.append("B", "A", c["A"].core.status().term, (2, 1), 2, 2)
        c.deliver("C", "B")
        c.deliver("C", "A")
        assert not [message for name in "AB" for message in c.queues[name, "C"] if message.vote_response.pre_vote]


def test_a_log_that_lacks_something_gets_no_answer() -> None:
    with Cluster("hardened", "ABC") as c:
        c.fill("B", 5, 1)
        c.fill("C", 3, 1)
        hears_nobody(c, "C", "B")
        c.deliver("C", "B")
        c.deliver("B", "C")
        assert not c.queues["B", "C"]
        assert [message.vote_response.pre_vote for message in c.queues["C", "B"]] == [True]


def test_a_node_whose_term_is_past_learns_the_later_one_and_asks_again() -> None:
    with Cluster("hardened", "ABC") as c:
        c.fill("A", 5, 1)
        for name in "BC":
            c[name].core._SyncObj__setCurrentTerm(7, None)
        hears_nobody(c, "A")
        c.deliver("A", "B")
        c.deliver("B", "A")
        assert c["A"].core.status().term == 7
        c.step("A")
        assert [message.term for message in questions(c, "A", "C")] == [2, 8]
        c.deliver("A", "C")
        c.deliver("C", "A")
        c.step("A")
        assert c["A"].core.status().term == 8


def test_a_node_that_was_cut_off_comes_back_in_its_old_term() -> None:
    with Cluster("hardened", "ABCDE") as c:
        c.elect("A", "ABCDE")
        term = c["A"].core.status().term
        c.isolate("E")
        for _ in range(30):
            c.pump("ABCD", 1)
            c.step("E")
        c.isolate("E", up=True)
        for _ in range(30):
            c.pump("ABCDE", 1)
        assert c.leads("A")
        assert {node.core.status().term for node in c.nodes.values()} == {term}
        assert c["E"].core.status().leader == "A"


def test_a_node_that_only_the_leader_cannot_reach_disturbs_nobody() -> None:
    with Cluster("hardened", "ABC") as c:
        c.elect("A", "ABC")
        term = c["A"].core.status().term
        c.link("A", "C", False)
        c["C"].core._new_election_deadline()
        for _ in range(60):
            c.pump("ABC", 1)
        assert c.leads("A")
        assert [node.core.status().term for node in c.nodes.values()] == [term] * 3
        assert questions(c, "C", "B") or c["C"].core.status().role is Role.CANDIDATE


def test_a_restarted_node_waits_as_if_it_had_just_heard_a_leader() -> None:
    with Cluster("hardened", "ABC") as c:
        c.elect("A", "ABC")
        c.restart("B")
        term = c["B"].core.status().term
        request = raft_pb2.VoteRequest(last_log_index=1000, last_log_term=term)
        c.receive("C", "B", raft_pb2.RaftMessage(term=term + 1, vote_request=request))
        assert c["B"].core.status().term == term


def test_without_anybody_to_ask_a_node_waits() -> None:
    with Cluster("hardened", "ABC") as c:
        c.isolate("A")
        hears_nobody(c, "A")
        assert c["A"].core.status().role is Role.FOLLOWER
        assert c["A"].core.next_deadline_s() > c.world.now_s


def test_a_question_is_repeated_while_nobody_answers() -> None:
    with Cluster("hardened", "ABC", settings=with_settings(election_min_s=1.0, election_max_s=1.2)) as c:
        hears_nobody(c, "A")
        for _ in range(4):
            c.step("A", 0.35)
        assert len(questions(c, "A", "B")) == 5
        assert c["A"].core.status().term == 1
