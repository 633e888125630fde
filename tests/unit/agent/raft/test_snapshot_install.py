"""A follower that takes long to restore a snapshot: it hears nobody meanwhile, and draws no conclusion from that."""

from __future__ import annotations

from collections.abc import Iterable

from tests.fakes.raft_cluster import Cluster
from tests.fakes.raft_engines import Register

from weftmesh.agent.raft.engine import Role
from weftmesh.mesh.v1 import raft_pb2

RESTORE_S = 30.0


class LongRestore(Register):
    """Takes longer than many elections."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__()
        self._cluster = cluster

    def restore(self, rows: Iterable[bytes]) -> None:
        """As Register, while the clock goes on."""
        super().restore(rows)
        self._cluster.world.now_s += RESTORE_S


def install(c: Cluster) -> None:
    """B takes a snapshot from A, the leader of term 2."""
    c.fill("A", 12, 1)
    c.settle_commit("A", 12)
    c["A"].compact()
    c["A"].sync()
    c["B"].core._parts.machine = LongRestore(c)
    for message in c.snapshot_messages("A", 2):
        c.receive("A", "B", message)
    c["B"].sync()
    assert c["B"].applied_index == 12


def test_a_long_restore_leads_to_no_election() -> None:
    with Cluster("hardened", "ABC") as c:
        install(c)
        c.step("B", 0.0)
        request = raft_pb2.VoteRequest(last_log_index=99, last_log_term=6)
        c.receive("C", "B", raft_pb2.RaftMessage(term=7, vote_request=request))
        status = c["B"].core.status()
        assert (status.term, status.leader, status.role) == (2, "A", Role.FOLLOWER)
        assert status.quorum


def test_a_leader_that_stays_away_afterwards_is_replaced() -> None:
    with Cluster("hardened", "ABC") as c:
        install(c)
        c.step("B", 10.0)
        c.deliver("B", "C")
        c.deliver("C", "B")
        c.step("B", 0.0)
        assert c["B"].core.status().term == 3
