"""Leadership changes hands at once, and only to a node that may have it."""

from __future__ import annotations

from tests.fakes.raft_cluster import Cluster

from weftmesh.mesh.v1 import raft_pb2


def request(c: Cluster, candidate: str, voter: str, last: tuple[int, int], *, transfer: bool) -> bool:
    """Ask for a vote in the next term; returns whether it was given."""
    term, (index, last_term) = c[voter].core.status().term + 1, last
    asked = raft_pb2.VoteRequest(last_log_index=index, last_log_term=last_term, leadership_transfer=transfer)
    c.receive(candidate, voter, raft_pb2.RaftMessage(term=term, vote_request=asked))
    return any(message.HasField("vote_response") for message in c.queues[voter, candidate])


def test_five_voters_follow_a_hand_over_without_waiting() -> None:
    with Cluster("hardened", "ABCDE") as c:
        c.elect("A", "ABCDE")
        c.pump("ABCDE", 4)
        begun_s = c.world.now_s
        c["A"].core.hand_over(True)
        c.step("A", 0.01)
        (target,) = [name for name in "BCDE" if any(m.HasField("timeout_now") for m in c.queues["A", name])]
        c.deliver("A", target)
        c.step(target, 0.01)
        for voter in "BCDE":
            if voter != target:  # the old leader is not among them
                c.deliver(target, voter)
                c.deliver(voter, target)
        assert c.leads(target)
        assert c.world.now_s - begun_s < c.settings.election_min_s / 4


def test_a_campaign_of_its_own_is_no_hand_over() -> None:
    with Cluster("hardened", "ABC") as c:
        c.elect("A", "ABC")
        c.pump("ABC", 4)
        last = (c.last("B"), c["B"].core.status().term)
        assert not request(c, "C", "B", last, transfer=False)
        assert request(c, "C", "B", last, transfer=True)


def test_a_log_that_lacks_something_is_not_handed_the_lead() -> None:
    with Cluster("hardened", "ABC") as c:
        c.elect("A", "ABC")
        c.pump("ABC", 4)
        term = c["B"].core.status().term
        assert not request(c, "C", "B", (c.last("B") - 1, term), transfer=True)
        assert c["B"].core.status().term == term


def test_a_campaign_after_a_failed_hand_over_asks_first() -> None:
    with Cluster("hardened", "ABC") as c:
        c.elect("A", "ABC")
        c.pump("ABC", 4)
        timeout_now = raft_pb2.RaftMessage(term=c["A"].core.status().term, timeout_now=raft_pb2.TimeoutNow())
        c.receive("A", "B", timeout_now)
        c.step("B", 0.0)
        first = [message.vote_request for message in c.queues["B", "C"] if message.HasField("vote_request")]
        c.queues["B", "C"].clear()
        c.step("B", 3 * c.settings.election_max_s)
        second = [message.vote_request for message in c.queues["B", "C"] if message.HasField("vote_request")]
        assert [(asked.leadership_transfer, asked.pre_vote) for asked in first + second] == [
            (True, False),
            (False, True),
        ]
