"""Scenarios that chance brings about too rarely; more of them are in tests/unit/agent/raft/test_hazard_*.py."""

from __future__ import annotations

from tests.fakes.raft_cluster import Cluster, with_settings

from weftmesh.agent.raft.core.membership import to_membership
from weftmesh.mesh.v1 import raft_pb2

LONG_S = 5.0


def voters_payload(names: str) -> raft_pb2.LogPayload:
    return raft_pb2.LogPayload(membership=to_membership({name: f"{name}:1" for name in names}))


def ask_for_vote(c: Cluster, candidate: str, voter: str, term: int) -> bool:
    """Whether a voter grants its vote to a candidate whose log is as long as can be."""
    c.queues[voter, candidate].clear()
    request = raft_pb2.VoteRequest(last_log_index=1000, last_log_term=term - 1)
    c.receive(candidate, voter, raft_pb2.RaftMessage(term=term, vote_request=request))
    answers = [message for message in c.queues[voter, candidate] if message.HasField("vote_response")]
    return any(message.term == term and not message.vote_response.pre_vote for message in answers)


def test_figure_8_an_entry_of_an_earlier_term_is_not_committed_by_counting() -> None:
    """Raft paper, figure 8: a later leader may still replace it, until an entry of the present term is committed."""
    with Cluster("hardened", "ABCDE") as c:
        c.fill("A", 3, 2)
        c.lead("A", 4)
        c["A"].sync()
        for name in "BC":
            c.acknowledge("A", name, 4, 3)
        c.step("A", 0.0)
        assert c.commit("A") < 3
        for name in "BC":
            c.acknowledge("A", name, 4, c.last("A"))
        c.step("A", 0.0)
        assert c.commit("A") == c.last("A")


def test_two_candidates_of_a_term_do_not_both_get_a_vote() -> None:
    with Cluster("hardened", "ABC") as c:
        c.world.now_s += LONG_S
        assert ask_for_vote(c, "A", "B", 7)
        assert not ask_for_vote(c, "C", "B", 7)
        assert ask_for_vote(c, "C", "B", 8)


def test_a_vote_is_remembered_after_a_power_cut() -> None:
    with Cluster("hardened", "ABC") as c:
        c.world.now_s += LONG_S
        assert ask_for_vote(c, "A", "B", 7)
        c["B"].crash()
        c.restart("B")
        c.world.now_s += LONG_S
        assert not ask_for_vote(c, "C", "B", 7)
        assert ask_for_vote(c, "C", "B", 8)


def test_two_removed_voters_and_one_that_stayed_elect_nobody() -> None:
    """Two at once are refused; and one by one, whoever missed it meets a voter that knows better."""
    with Cluster("hardened", "ABCDE") as c:
        c.elect("A", "ABCDE")
        both = c["A"].submit(voters_payload("ABC"))
        c.pump("ABCDE", 4)
        assert both.outcome == "failed"
        c.isolate("D")
        c.isolate("E")
        removals = []
        for left in ("ABCD", "ABC"):
            removals.append(c["A"].submit(voters_payload(left)))
            c.pump("ABC", 6)
        assert [removal.outcome for removal in removals] == ["ok", "ok"]
        c.isolate("C")
        for one, other in ("CD", "CE", "DE"):
            c.link(one, other, True)
        c.world.now_s += LONG_S
        for _ in range(20):
            for name in "DE":
                c[name].core._election_deadline_s = 0.0
                c.step(name, 0.0)
                c[name].sync()
            for sender in "CDE":
                for receiver in "CDE":
                    c.deliver(sender, receiver)
            assert not c.leads("D")
            assert not c.leads("E")
            c.world.now_s += 1


def test_a_power_cut_while_a_snapshot_comes_in_leaves_the_node_as_it_was() -> None:
    with Cluster("hardened", "ABC", settings=with_settings(chunk_bytes=20)) as c:
        c.elect("A", "ABC")
        c.isolate("C")
        for number in range(30):
            c["A"].write(b"%d" % number)
        c.pump("AB", 6)
        c["A"].compact()
        c.pump("AB", 3)
        c["A"].write(b"later")
        c.pump("AB", 3)
        c.isolate("C", up=True)
        c.pump("AC", 2)
        assert c["C"].machine.restored == 0, "the snapshot was installed too soon for this to test anything"
        assert c["C"].snapshots._transfer is not None, "and it has begun"
        c["C"].crash()
        c.restart("C")
        assert c["C"].machine.restored == 0
        assert c.commands("C") == []
        c.pump("ABC", 60)
        assert c.commands("C") == c.commands("A")


def test_a_leader_that_is_deposed_and_elected_again_commits_nothing_twice() -> None:
    with Cluster("hardened", "ABC") as c:
        c.elect("A", "ABC")
        c.isolate("A")
        lost = c["A"].write(b"lost")
        c.step("A")
        c["A"].sync()
        c.elect("B", "BC")
        kept = c["B"].write(b"kept")
        c.pump("BC", 4)
        c.isolate("A", up=True)
        c.pump("ABC", 6)
        c.elect("A", "ABC")
        again = c["A"].write(b"again")
        c.pump("ABC", 6)
        assert (lost.outcome, kept.outcome, again.outcome) == ("unknown", "ok", "ok")
        assert [c.commands(name) for name in "ABC"] == [[b"kept", b"again"]] * 3
