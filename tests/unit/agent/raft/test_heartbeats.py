"""An idle leader's heartbeats: all peers in one tick, and none later than it should be."""

from __future__ import annotations

from itertools import pairwise

from tests.fakes.raft_cluster import Cluster

IDLE_S = 4.0
SOON_S = 0.001
"""A timer is never shorter."""


def beat(c: Cluster, seconds: float) -> list[tuple[float, frozenset[str]]]:
    """Let the leader A tick whenever it asks to, and everybody answer at once; when it sent something, and to whom."""
    beats, until_s = [], c.world.now_s + seconds
    while c.world.now_s < until_s:
        c.step("A", max(c["A"].core.next_deadline_s() - c.world.now_s, SOON_S))
        fed = frozenset(name for name in c.names if name != "A" and c.queues["A", name])
        if fed:
            beats.append((c.world.now_s, fed))
        for name in fed:
            c.deliver("A", name)
            c.deliver(name, "A")
    return beats


def test_peers_that_were_connected_apart_get_their_heartbeats_together() -> None:
    with Cluster("hardened", "ABCDE") as c:
        c.elect("A", "ABCDE")
        c.pump("ABCDE", 4)
        interval_s = c.settings.idle_heartbeat_s
        for name in "CDE":
            c.step("A", interval_s / 4)
            c.link("A", name, False)
            c.link("A", name, True)
            c.pump("ABCDE", 1)
        beat(c, 2 * interval_s)
        beats = beat(c, IDLE_S)
        assert all(fed == set("BCDE") for _, fed in beats)
        assert len(beats) <= IDLE_S / interval_s + 1


def test_no_peer_waits_longer_than_an_interval() -> None:
    with Cluster("hardened", "ABC") as c:
        c.elect("A", "ABC")
        c.pump("ABC", 4)
        beats = beat(c, IDLE_S)
        for name in "BC":
            moments = [moment for moment, fed in beats if name in fed]
            gaps = [after - before for before, after in pairwise(moments)]
            assert max(gaps) < 1.1 * c.settings.idle_heartbeat_s, name
