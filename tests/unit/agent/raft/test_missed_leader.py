"""A leader whose stream broke is given one idle heartbeat's time, not an election timeout."""

from __future__ import annotations

from tests.fakes.raft_cluster import SETTINGS, Cluster


def voted(c: Cluster) -> set[int]:
    return {node.core.status().term for node in c.nodes.values()}


def until_replaced_s(seed: int) -> float:
    """From the end of the leader's process to the next leader."""
    with Cluster("hardened", "ABCDE", seed=seed) as c:
        c.elect("A", "ABCDE")
        c.pump("ABCDE")
        ended_s = c.world.now_s
        c.isolate("A")
        while not any(c.leads(name) for name in "BCDE"):
            c.pump("BCDE", 1)
            assert c.world.now_s - ended_s < 5 * c.settings.election_max_s
        return c.world.now_s - ended_s


def test_the_others_replace_a_leader_whose_process_ended() -> None:
    taken_s = sorted(until_replaced_s(seed) for seed in range(20))
    assert taken_s[15] < SETTINGS.election_min_s, "only two that campaign at the same moment need longer"


def test_a_stream_that_comes_back_costs_no_election() -> None:
    with Cluster("hardened", "ABC") as c:
        c.elect("A", "ABC")
        c.pump("ABC")
        before = voted(c)
        for _ in range(20):
            for name in "BC":
                c.link("A", name, False)
                c.link("A", name, True)
            c.pump("ABC", 2)
        assert c.leads("A")
        assert voted(c) == before


def test_one_that_lost_the_leader_alone_deposes_nobody() -> None:
    with Cluster("hardened", "ABC") as c:
        c.elect("A", "ABC")
        c.pump("ABC")
        before = voted(c)
        c.link("A", "C", False)
        for _ in range(30):
            c.pump("ABC", 1)
        assert c.leads("A")
        assert voted(c) == before


def test_who_has_lost_the_leader_too_votes_before_the_election_timeout() -> None:
    with Cluster("hardened", "ABC") as c:
        c.elect("A", "ABC")
        c.pump("ABC")
        c.isolate("A")
        c.world.now_s += 1.5 * c.settings.missed_leader_s
        assert not c["B"].core._heard_recently()
        c.link("A", "B", True)
        assert c["B"].core._heard_recently()
