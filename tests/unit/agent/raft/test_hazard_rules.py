"""Single rules of the hardened core: what is promised when, who may lead, and whose word counts."""

from __future__ import annotations

import pytest
from tests.fakes.raft_cluster import Cluster, HardenedNode, on_both, with_settings

from weftmesh.agent.raft.core.codec import ProtocolError
from weftmesh.agent.raft.core.membership import to_membership
from weftmesh.core.errors import DataCorruptionError
from weftmesh.mesh.v1 import raft_pb2


def voters_payload(names: str) -> raft_pb2.LogPayload:
    return raft_pb2.LogPayload(membership=to_membership({name: f"{name}:1" for name in names}))


def acknowledged(c: Cluster, sender: str, receiver: str) -> list[int]:
    answers = [message.append_response for message in c.queues[sender, receiver] if message.HasField("append_response")]
    return [answer.match_index for answer in answers if answer.accepted]


def test_hazard_h1_no_acknowledgement_before_the_disk() -> None:
    with Cluster("hardened", "ABC") as c:
        c.append("B", "A", 1, (2, 1), 5, 2)
        c["B"].begin_sync()
        c.step("B")
        assert acknowledged(c, "B", "A") == []
        c["B"].finish_sync()
        assert acknowledged(c, "B", "A") == [5]


def test_hazard_h1_an_acknowledgement_of_a_past_term_is_dropped() -> None:
    with Cluster("hardened", "ABC") as c:
        c.append("B", "A", 1, (2, 1), 5, 2)
        c.append("B", "C", 2, (2, 1), 3, 2)
        c["B"].sync()
        assert acknowledged(c, "B", "A") == []
        assert acknowledged(c, "B", "C") == [3]


@on_both("a leader counts its own copy before it is on disk")
def test_hazard_h2_a_leaders_own_copy_counts_when_it_is_durable(core: str) -> None:
    with Cluster(core, "ABC") as c:
        c.lead("A", 2)
        before, last = c.commit("A"), c.last("A")
        c.acknowledge("A", "B", 2, last)
        c.step("A", 0.0)
        assert c.commit("A") == before
        c["A"].sync()
        c.step("A", 0.0)
        assert c.commit("A") == last


@on_both("answers carry no term, so a deposed leader learns nothing from them")
def test_hazard_h3_a_later_term_in_an_answer_deposes(core: str) -> None:
    with Cluster(core, "ABC") as c:
        c.lead("A", 2)
        c.acknowledge("A", "B", 5, 2)
        assert not c.leads("A")


def test_hazard_h3_a_stranger_deposes_nobody() -> None:
    with Cluster("hardened", "ABC") as c:
        c.lead("A", 2)
        c.acknowledge("A", "X", 5, 2)
        assert c.leads("A")


@on_both("vote messages are counted, not voters")
def test_hazard_h5_one_voter_elects_nobody(core: str) -> None:
    with Cluster(core, "ABCDE") as c:
        c["A"].core._SyncObj__raftElectionDeadline = 0
        c.step("A", 0.0)
        for _ in range(4):
            c.vote("A", "B", c["A"].core.raftCurrentTerm)
        assert not c.leads("A")


def test_hazard_h5_a_vote_of_a_stranger_does_not_count() -> None:
    with Cluster("hardened", "ABC") as c:
        c["A"].core._election_deadline_s = 0.0
        c.step("A", 0.0)
        c.vote("A", "X", c["A"].core.raftCurrentTerm)
        assert not c.leads("A")


def test_hazard_h11_a_heartbeat_commits_what_it_proves() -> None:
    with Cluster("hardened", "ABC") as c:
        c.fill("B", 8, 1)
        c.append("B", "A", 2, (5, 1), 5, 8)
        assert c.commit("B") == 5


def test_hazard_h14_a_late_acknowledgement_moves_nothing_back() -> None:
    with Cluster("hardened", "ABC") as c:
        c.elect("A", "ABC")
        c["A"].write(b"x")
        c.pump("ABC", 4)
        term, last = c["A"].core.raftCurrentTerm, c.last("A")
        c.acknowledge("A", "B", term, 2)
        refusal = raft_pb2.AppendResponse(prev_index=2, hint_index=1)
        c.receive("B", "A", raft_pb2.RaftMessage(term=term, append_response=refusal))
        assert [peer.match_index for peer in c["A"].core.status().peers] == [last, last]
        c.step("A")
        assert [message.append_entries.prev_index for message in c.queues["A", "B"]] == [last]


def test_hazard_v12_the_snapshot_is_loaded_before_the_first_message() -> None:
    with Cluster("hardened", "ABC") as c:
        c.fill("B", 12, 1)
        c.settle_commit("B", 8)
        c["B"].compact()
        c["B"].sync()
        c.restart("B")
        assert c["B"].applied_index == 8
        assert len(c.commands("B")) == 6


def test_hazard_h17_a_finished_snapshot_does_not_replace_a_newer_one() -> None:
    with Cluster("hardened", "ABC") as c:
        c.fill("A", 20, 1)
        c.settle_commit("A", 20)
        c["A"].compact()
        c["A"].sync()
        c.fill("B", 12, 1)
        c.settle_commit("B", 8)
        c["B"].compact()
        for message in c.snapshot_messages("A", 2):
            c.receive("A", "B", message)
        c["B"].sync()
        assert c["B"].core.status().snapshot_index == 20
        assert c["B"].applied_index == 20


def test_hazard_h19_a_log_without_its_snapshot_does_not_start() -> None:
    with Cluster("hardened", "ABC") as c:
        c.fill("A", 20, 1)
        c.settle_commit("A", 20)
        c["A"].compact()
        c["A"].sync()
        c["A"].snapshots.files.clear()
        with pytest.raises(DataCorruptionError, match="no snapshot"):
            c.restart("A")


def test_hazard_stickiness_a_working_leader_is_not_deposed() -> None:
    with Cluster("hardened", "ABC") as c:
        c.elect("A", "ABC")
        c.pump("ABC")
        term = c["B"].core.raftCurrentTerm
        request = raft_pb2.VoteRequest(last_log_index=1000, last_log_term=term)
        for voter in "AB":
            c.receive("C", voter, raft_pb2.RaftMessage(term=term + 7, vote_request=request))
        assert c["A"].core.raftCurrentTerm == c["B"].core.raftCurrentTerm == term
        c.world.now_s += 5
        c.receive("C", "B", raft_pb2.RaftMessage(term=term + 7, vote_request=request))
        assert c["B"].core.raftCurrentTerm == term + 7


def test_hazard_removed_node_a_node_outside_of_its_configuration_never_campaigns() -> None:
    with Cluster("hardened", "ABC") as c:
        c.nodes["X"] = stranger = HardenedNode(c, "X", {}, c.settings, 1)
        stranger.core.connected("A")
        for _ in range(20):
            c.step("X", 1.0)
        assert stranger.core.raftCurrentTerm == 0
        assert stranger.core.status().role.value == "joining"
        c.elect("A", "ABC")
        c["A"].submit(voters_payload("AB"))
        c.pump("ABC", 6)
        c.isolate("C")
        c.isolate("C", up=True)
        for _ in range(20):
            c.step("C", 1.0)
        assert c["C"].core.raftCurrentTerm == c["A"].core.raftCurrentTerm


def test_hazard_membership_takes_effect_when_appended_and_is_rolled_back() -> None:
    with Cluster("hardened", "ABC") as c:
        c.elect("A", "ABC")
        c["A"].submit(voters_payload("AB"))
        c.step("A")
        c.isolate("A")
        assert set(c["A"].core.voters) == {"A", "B"}
        c.elect("B", "BC")
        c["B"].write(b"new")
        c.pump("BC", 4)
        c.isolate("A", up=True)
        c.pump("ABC", 8)
        assert set(c["A"].core.voters) == {"A", "B", "C"}
        assert set(c["A"].peers) == {"B", "C"}


def test_hazard_membership_a_leader_that_joined_meanwhile_can_be_answered() -> None:
    with Cluster("hardened", "ABC") as c:
        entry = raft_pb2.LogEntry(index=10, term=3, payload=b"")
        append = raft_pb2.AppendEntries(prev_index=9, prev_term=3, entries=[entry], commit_index=9)
        c.receive("D", "B", raft_pb2.RaftMessage(term=3, append_entries=append))
        assert set(c["B"].peers) == {"A", "C"}
        append.leader_address = "D:1"
        c.receive("D", "B", raft_pb2.RaftMessage(term=3, append_entries=append))
        assert set(c["B"].peers) == {"A", "C", "D"}


def test_hazard_membership_one_change_at_a_time() -> None:
    with Cluster("hardened", "ABCD") as c:
        c.elect("A", "ABCD")
        first, second = c["A"].submit(voters_payload("ABC")), c["A"].submit(voters_payload("AB"))
        two = c["A"].submit(voters_payload("AB"))
        c.pump("ABCD", 6)
        assert [first.outcome, second.outcome, two.outcome] == ["ok", "failed", "failed"]
        assert set(c["D"].core.voters) == {"A", "B", "C"}


def test_hazard_ongaro_2015_no_change_before_an_entry_of_the_own_term_is_committed() -> None:
    """Of four voters A appends a change alone; B, leading later, may remove A only once D must refuse A its vote."""
    with Cluster("hardened", "ABCD") as c:
        c.elect("A", "ABCD")
        c.isolate("A")
        c["A"].submit(voters_payload("ABCDE"))
        c.step("A")
        c["A"].sync()
        for name in "BCD":
            c.isolate(name)
        c.link("B", "C", True)
        c.link("B", "D", True)
        win(c, "B", "CD")
        c.isolate("D")
        c.pump("BC", 4)  # so that C answers, and nothing but the entry of its own term is missing
        early = c["B"].submit(voters_payload("BCD"))
        c.pump("BC", 4)
        assert early.outcome == "failed"
        c.link("B", "D", True)
        c.pump("BCD", 4)
        c["B"].submit(voters_payload("BCD"))
        c.pump("BCD", 4)
        assert set(c["B"].core.voters) == {"B", "C", "D"}
        c.isolate("D")
        c.link("A", "D", True)
        c.world.now_s += 5
        c["A"].core._election_deadline_s = 0.0
        c.step("A", 0.0)
        c.deliver("A", "D")
        assert not [message for message in c.queues["D", "A"] if message.HasField("vote_response")]


def win(c: Cluster, name: str, voters: str) -> None:
    """Win an election; nothing is replicated."""
    c.world.now_s += 5
    c[name].core._election_deadline_s = 0.0
    c[name].tick()
    for voter in voters:
        c.deliver(name, voter)
        c.deliver(voter, name)
    assert c.leads(name)
    for voter in voters:
        c.queues[name, voter].clear()


def test_hazard_removed_leader_counts_the_others_only_and_then_steps_down() -> None:
    with Cluster("hardened", "ABC") as c:
        c.elect("A", "ABC")
        removal = c["A"].submit(voters_payload("BC"))
        c.step("A")
        c.isolate("C")
        c.pump("AB", 4)
        assert removal.outcome == ""
        assert c.leads("A")
        c.link("A", "C", True)
        c.pump("ABC", 4)
        assert removal.outcome == "ok"
        assert not c.leads("A")
        assert c["A"].core.status().role.value == "joining"


def test_hazard_removed_node_writes_nothing_any_more() -> None:
    with Cluster("hardened", "ABC") as c:
        c.elect("A", "ABC")
        c.isolate("C")
        c["A"].submit(voters_payload("AB"))
        c.pump("AB", 4)
        payload = raft_pb2.LogPayload(command=b"late", proposal_ids=[1])
        forward = raft_pb2.ForwardProposals(proposals=[raft_pb2.Proposal(proposal_id=1, payload=payload)])
        for sender in "CB":
            c.receive(sender, "A", raft_pb2.RaftMessage(term=1, forward_proposals=forward))
            c.pump("AB", 4)
            assert c.commands("A") == ([] if sender == "C" else [b"late"])


def test_hazard_last_voter_cannot_be_removed() -> None:
    with Cluster("hardened", "A") as c:
        c.elect("A", "A")
        proposal = raft_pb2.Proposal(proposal_id=1, payload=voters_payload(""))
        proposal.payload.proposal_ids[:] = [1]
        message = raft_pb2.RaftMessage(term=1, forward_proposals=raft_pb2.ForwardProposals(proposals=[proposal]))
        with pytest.raises(ProtocolError, match="number of voters"):
            c["A"].receive("B", message)


def test_hazard_gate_one_message_with_entries_on_its_way() -> None:
    with Cluster("hardened", "ABC", settings=with_settings(resend_s=0.9, election_min_s=1.9)) as c:
        c.elect("A", "ABC")
        c.queues["A", "B"].clear()
        for number in range(10):
            c["A"].write(b"%d" % number)
            c.step("A", 0.01)
        with_entries = [message for message in c.queues["A", "B"] if message.append_entries.entries]
        assert len(with_entries) == 1
        c["A"].sync()
        c.deliver("A", "B")
        c["B"].sync()
        c.deliver("B", "A")
        c.step("A", 0.0)
        assert [len(message.append_entries.entries) for message in c.queues["A", "B"]] == [9]


def test_hazard_gate_a_lost_message_is_sent_again() -> None:
    with Cluster("hardened", "ABC") as c:
        c.elect("A", "ABC")
        write = c["A"].write(b"x")
        c.step("A", 0.0)
        for queue in c.queues.values():
            queue.clear()
        c.pump("ABC", 8)
        assert write.outcome == "ok"


def test_hazard_apply_is_bounded_in_a_tick() -> None:
    with Cluster("hardened", "ABC", settings=with_settings(apply_limit=4)) as c:
        c.fill("B", 20, 1)
        c.append("B", "A", 1, (20, 1), 20, 20)
        applied = []
        for _ in range(5):
            c.step("B", 0.0)
            applied.append(len(c.commands("B")))
        assert applied == [3, 7, 11, 15, 18]


def test_hazard_catching_up_one_snapshot_is_enough_while_writes_go_on() -> None:
    with Cluster("hardened", "ABC", settings=with_settings(snapshot_every_entries=40)) as c:
        c.elect("A", "ABC")
        c.isolate("C")
        for number in range(60):
            c["A"].write(b"%d" % number)
        c.pump("AB", 6)
        c.isolate("C", up=True)
        for number in range(30):
            c["A"].write(b"later %d" % number)
            c.pump("ABC", 1)
            if number == 3:
                c["A"].compact()
        c.pump("ABC", 30)
        assert c["C"].machine.restored == 1
        assert c.commands("C") == c.commands("A")


def test_hazard_h12_a_replaced_write_is_reported_at_once() -> None:
    with Cluster("hardened", "ABC") as c:
        c.elect("A", "ABC")
        c.isolate("A")
        lost = c["A"].write(b"lost")
        c.step("A")
        c.elect("B", "BC")
        c.isolate("A", up=True)
        assert lost.outcome == ""
        c.pump("ABC", 4)
        assert lost.outcome == "unknown"
        assert b"lost" not in c.commands("A")


def test_hazard_h12_a_forwarded_write_is_reported_when_the_leader_changes() -> None:
    with Cluster("hardened", "ABC") as c:
        c.elect("A", "ABC")
        forwarded = c["B"].write(b"forwarded")
        c.step("B", 0.0)
        c.queues["B", "A"].clear()
        c.elect("C", "BC")
        c.pump("BC", 2)
        assert forwarded.outcome == "unknown"
