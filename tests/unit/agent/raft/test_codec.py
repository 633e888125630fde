"""What peers say is checked before anything acts on it."""

from __future__ import annotations

import random

import pytest
from google.protobuf.message import DecodeError

from weftmesh.agent.raft.core import codec
from weftmesh.agent.raft.core.codec import ProtocolError
from weftmesh.agent.raft.core.membership import (
    Configuration,
    Configurations,
    from_membership,
    is_single_change,
    quorum_size,
    to_membership,
)
from weftmesh.agent.raft.ports import Entry
from weftmesh.mesh.v1 import raft_pb2

COMMAND = raft_pb2.LogPayload(command=b"x").SerializeToString()


def append(*entries: raft_pb2.LogEntry, prev: int = 5, term: int = 3) -> raft_pb2.RaftMessage:
    return raft_pb2.RaftMessage(
        term=term, append_entries=raft_pb2.AppendEntries(prev_index=prev, prev_term=2, entries=entries)
    )


def entry(index: int, term: int = 3, payload: bytes = COMMAND) -> raft_pb2.LogEntry:
    return raft_pb2.LogEntry(index=index, term=term, payload=payload)


def membership(*voters: tuple[str, str]) -> bytes:
    made = raft_pb2.Membership(voters=[raft_pb2.Voter(name=name, address=address) for name, address in voters])
    return raft_pb2.LogPayload(membership=made).SerializeToString()


def forward(proposal_id: int, *named: int) -> raft_pb2.RaftMessage:
    payload = raft_pb2.LogPayload(proposal_ids=named, command=b"x")
    proposal = raft_pb2.Proposal(proposal_id=proposal_id, payload=payload)
    return raft_pb2.RaftMessage(forward_proposals=raft_pb2.ForwardProposals(proposals=[proposal]))


def chunk(**fields: int | bytes) -> raft_pb2.SnapshotChunk:
    whole = {"term": 3, "index": 7, "snapshot_term": 2, "size_bytes": 10, "data": b"x", "sha256": bytes(32), **fields}
    return raft_pb2.SnapshotChunk(**whole)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (append(entry(6), entry(7)), "append_entries"),
        (append(entry(6, payload=b"")), "append_entries"),
        (append(entry(6, payload=membership(("a", "a:1")))), "append_entries"),
        (forward(9, 9), "forward_proposals"),
        (raft_pb2.RaftMessage(term=4, vote_request=raft_pb2.VoteRequest(last_log_term=3)), "vote_request"),
        (raft_pb2.RaftMessage(timeout_now=raft_pb2.TimeoutNow()), "timeout_now"),
    ],
)
def test_well_formed(message: raft_pb2.RaftMessage, kind: str) -> None:
    assert codec.check(message) == kind


@pytest.mark.parametrize(
    "message",
    [
        raft_pb2.RaftMessage(),
        raft_pb2.RaftMessage(term=codec.NUMBER_LIMIT, timeout_now=raft_pb2.TimeoutNow()),
        raft_pb2.RaftMessage(term=3, vote_request=raft_pb2.VoteRequest(last_log_term=3)),
        append(entry(7)),
        append(entry(6), entry(6)),
        append(entry(6, 3), entry(7, 2)),
        append(entry(6, 4)),
        append(entry(6, 1)),
        append(prev=0),
        append(entry(6, payload=b"\xff\xff")),
        append(entry(6, payload=membership(("a", "a:1"), ("a", "b:1")))),
        append(entry(6, payload=membership(("", "a:1")))),
        append(entry(6, payload=membership())),
        forward(9),
        forward(9, 8),
        forward(9, 9, 10),
        raft_pb2.RaftMessage(reject_proposals=raft_pb2.RejectProposals(reason="because")),
    ],
)
def test_malformed(message: raft_pb2.RaftMessage) -> None:
    with pytest.raises(ProtocolError):
        codec.check(message)


def test_random_bytes_are_refused_or_well_formed() -> None:
    rng = random.Random(1)
    sample = append(entry(6), entry(7)).SerializeToString()
    refused = 0
    for _ in range(2000):
        data = bytearray(sample)
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        try:
            codec.check(raft_pb2.RaftMessage.FromString(bytes(data)))
        except (DecodeError, ProtocolError):
            refused += 1
    assert refused > 1000


def test_entries_go_there_and_back() -> None:
    entries = [Entry(6, 3, COMMAND), Entry(7, 3, b"")]
    assert codec.from_log_entries(codec.to_log_entries(entries)) == entries


@pytest.mark.parametrize(
    "message",
    [
        {"type": "request_vote", "term": 3, "last_log_index": 9, "last_log_term": 2},
        {"type": "response_vote", "term": 3},
        {"type": "timeout_now", "term": 3},
    ],
)
def test_what_pysyncobj_says_itself(message: dict[str, object]) -> None:
    assert codec.decode_stock(codec.encode_stock(message)) == message


@pytest.mark.parametrize("kind", ["apply_command", "append_entries", "next_node_idx", "apply_command_response"])
def test_nothing_else_of_pysyncobj_leaves(kind: str) -> None:
    with pytest.raises(ValueError, match="may not send"):
        codec.encode_stock({"type": kind})


def test_configurations_follow_the_log() -> None:
    history = Configurations(1, Configuration({"a": "a:1"}))
    history.push(5, Configuration({"a": "a:1", "b": "b:1"}))
    history.push(9, Configuration({"b": "b:1"}))
    assert [set(history.at(index).voters) for index in (1, 4, 5, 8, 9)] == [{"a"}, {"a"}, {"a", "b"}, {"a", "b"}, {"b"}]
    assert set(history.since(6)) == {"a", "b"}
    assert history.truncate_from(9)
    assert not history.truncate_from(6)
    assert history.index == 5
    history.forget_before(7)
    assert history.truncate_from(2) is False
    assert set(history.current.voters) == {"a", "b"}


@pytest.mark.parametrize(
    ("old", "new", "single"),
    [
        ("ab", "abc", True),
        ("abc", "ab", True),
        ("abc", "abd", False),
        ("ab", "abcd", False),
        ("ab", "ab", False),
        ("a", "", False),
    ],
)
def test_one_voter_at_a_time(old: str, new: str, single: bool) -> None:
    assert is_single_change(Configuration(dict.fromkeys(old, "1")), Configuration(dict.fromkeys(new, "1"))) is single


def test_quorum_sizes() -> None:
    assert [quorum_size(dict.fromkeys("abcde"[:count], "")) for count in range(1, 6)] == [1, 2, 2, 3, 3]


def members(voters: str, observers: str, joining: str = "") -> raft_pb2.RaftMessage:
    made = raft_pb2.Membership(
        voters=[raft_pb2.Voter(name=name, address="h:1", joining=name in joining) for name in voters],
        observers=[raft_pb2.Voter(name=name, address="h:1", joining=name in joining) for name in observers],
    )
    return append(entry(6, payload=raft_pb2.LogPayload(membership=made).SerializeToString()))


def test_observers_are_checked_as_voters_are() -> None:
    assert codec.check(members("ab", "cd", "d")) == "append_entries"
    for wrong in (members("", "a"), members("ab", "b"), members("ab", "cc"), members("ab", "", "b")):
        with pytest.raises(ProtocolError):
            codec.check(wrong)
    with pytest.raises(ProtocolError, match="number of members"):
        codec.check(members("a", "".join(chr(0x100 + at) for at in range(codec.MEMBERS_LIMIT))))


@pytest.mark.parametrize(
    "message",
    [
        raft_pb2.RaftMessage(read_index_response=raft_pb2.ReadIndexResponse(index=codec.NUMBER_LIMIT)),
        raft_pb2.RaftMessage(
            reject_proposals=raft_pb2.RejectProposals(reason="observer_behind", entries_behind=codec.NUMBER_LIMIT)
        ),
        raft_pb2.RaftMessage(term=2, vote_request=raft_pb2.VoteRequest(pre_vote=True, last_log_term=2)),
    ],
)
def test_numbers_that_no_peer_has(message: raft_pb2.RaftMessage) -> None:
    with pytest.raises(ProtocolError):
        codec.check(message)


def test_the_members_go_there_and_back() -> None:
    there = Configuration({"a": "a:1"}, {"b": "b:1", "c": "c:1"}, frozenset({"c"}))
    assert from_membership(to_membership(*there)) == there


def test_the_same_voters_are_the_same_bytes() -> None:
    one, other = to_membership({"a": "1", "b": "2"}), to_membership({"b": "2", "a": "1"})
    assert one.SerializeToString() == other.SerializeToString()


def test_a_chunk_and_an_offer_pass() -> None:
    codec.check_chunk(chunk())
    codec.check_chunk(chunk(data=b""))


@pytest.mark.parametrize(
    "bad",
    [
        chunk(size_bytes=0),
        chunk(size_bytes=codec.SNAPSHOT_LIMIT_BYTES + 1),
        chunk(offset=10),
        chunk(sha256=b"short"),
        chunk(snapshot_term=4),
        chunk(term=1 << 62),
        chunk(index=0),
    ],
)
def test_a_chunk_that_no_correct_peer_sends_is_refused(bad: raft_pb2.SnapshotChunk) -> None:
    with pytest.raises(codec.ProtocolError):
        codec.check_chunk(bad)
