"""A leader that says nothing any more is handed nothing: it may have taken this node out, over a link that stays up."""

from __future__ import annotations

from tests.fakes.raft_cluster import NEVER_S, Cluster, Write


def write_to_a_silent_leader(c: Cluster) -> Write:
    """Node C does not stand for election, and writes when A has long been silent."""
    c.elect("A", "ABC")
    c.pump("ABC", 4)
    c["C"].core._SyncObj__raftElectionDeadline = NEVER_S
    c.world.now_s += 2 * c.settings.election_max_s
    write: Write = c["C"].write(b"x")
    c["C"].tick()
    return write


def test_the_outcome_of_what_it_is_not_handed_is_certain() -> None:
    with Cluster("hardened", "ABC") as c:
        write = write_to_a_silent_leader(c)
        assert not c.queues["C", "A"]
        c["C"].proposals.give_up_all("nobody waits for it")
        assert write.outcome == "failed"


def test_it_gets_what_waited_when_it_speaks_again() -> None:
    with Cluster("hardened", "ABC") as c:
        write = write_to_a_silent_leader(c)
        c.pump("ABC", 6)
        assert write.outcome == "ok"
