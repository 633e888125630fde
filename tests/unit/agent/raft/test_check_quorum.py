"""A leader that no majority follows gives up, and goes by when it asked rather than by when the answer came."""

from __future__ import annotations

from tests.fakes.raft_cluster import Cluster

from weftmesh.mesh.v1 import raft_pb2


def settle(c: Cluster) -> None:
    c.elect("A", "".join(c.names))
    c.pump("".join(c.names), 4)


def rounds(c: Cluster, receiver: str) -> list[int]:
    return [message.append_entries.round for message in c.queues["A", receiver] if message.append_entries.round]


def answer(c: Cluster, voter: str, round_: int) -> None:
    response = raft_pb2.AppendResponse(accepted=True, match_index=c.last("A"), round=round_)
    c.receive(voter, "A", raft_pb2.RaftMessage(term=c["A"].core.status().term, append_response=response))


def wait(c: Cluster, seconds: float) -> None:
    """The leader runs all that time."""
    until_s = c.world.now_s + seconds
    while c.world.now_s < until_s:
        c.step("A", c.settings.idle_heartbeat_s)


def test_a_leader_that_nobody_answers_gives_up() -> None:
    with Cluster("hardened", "ABCDE") as c:
        settle(c)
        wait(c, 0.8 * c.settings.election_max_s)
        assert c.leads("A")
        wait(c, 0.4 * c.settings.election_max_s)
        assert not c.leads("A")
        assert not c["A"].core.status().quorum


def test_a_leader_that_a_majority_answers_goes_on() -> None:
    with Cluster("hardened", "ABC") as c:
        settle(c)
        c.isolate("C")
        for _ in range(40):
            c.pump("AB", 1)
        assert c.leads("A")
        assert c["A"].core.status().quorum


def test_answers_that_were_on_their_way_for_long_prolong_nothing() -> None:
    with Cluster("hardened", "ABC") as c:
        settle(c)
        wait(c, c.settings.idle_heartbeat_s)
        asked = {name: rounds(c, name)[0] for name in "BC"}
        wait(c, 0.9 * c.settings.election_max_s)
        for name, round_ in asked.items():
            answer(c, name, round_)
        wait(c, 0.3 * c.settings.election_max_s)
        assert not c.leads("A")


def test_a_leader_that_did_not_run_asks_before_it_gives_up() -> None:
    with Cluster("hardened", "ABC") as c:
        settle(c)
        c.step("A", 5 * c.settings.election_max_s)
        assert c.leads("A")
        c.deliver("A", "B")
        c.deliver("B", "A")
        wait(c, 0.5 * c.settings.election_max_s)
        assert c.leads("A")


def test_a_leader_that_did_not_run_and_is_not_answered_gives_up() -> None:
    with Cluster("hardened", "ABC") as c:
        settle(c)
        c.step("A", 5 * c.settings.election_max_s)
        assert not c["A"].core.status().quorum
        wait(c, 2 * c.settings.idle_heartbeat_s)
        assert not c.leads("A")
