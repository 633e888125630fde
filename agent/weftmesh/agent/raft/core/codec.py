"""The messages and payloads of the log: their making, and the check of everything that a peer sent.

A peer is authenticated, not trusted: whatever it sends is either well-formed or a ProtocolError that drops the
message, never a failure of this node.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from google.protobuf.message import DecodeError

from weftmesh.agent.raft.core.fencing import MARK
from weftmesh.agent.raft.ports import Entry
from weftmesh.core.errors import WeftmeshError
from weftmesh.core.features.levels import FIRST_LEVEL, SUPPORTED_LEVEL
from weftmesh.mesh.v1 import raft_pb2

NUMBER_LIMIT = 1 << 62
"""Terms and indexes from a peer stay below this, so that counting on from them cannot overflow the format."""
SNAPSHOT_LIMIT_BYTES = 16 << 30
SHA256_BYTES = 32
MEMBERS_LIMIT = 101
NAME_LIMIT = 255
ADDRESS_LIMIT = 300
"""host:port; a host name has 253 characters at most."""
LEVEL_LIMIT = 1 << 16
REJECT_REASONS = ("not_leader", "overloaded", "membership_busy", "observer_behind", "observer_silent", "voters_silent")


class ProtocolError(WeftmeshError):
    """A peer sent what no correct peer sends; the message was dropped."""

    reason = "RAFT_PROTOCOL"


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise ProtocolError(f"malformed message from a peer: {what}")


def _check_membership(membership: raft_pb2.Membership) -> None:
    _require(bool(membership.voters), "number of voters")
    members = [*membership.voters, *membership.observers]
    _require(len(members) <= MEMBERS_LIMIT, "number of members")
    _require(len({member.name for member in members}) == len(members), "a member is named twice")
    for member in members:
        _require(0 < len(member.name) <= NAME_LIMIT, "a member's name")
        _require(0 < len(member.address) <= ADDRESS_LIMIT, "a member's address")
    _require(not any(voter.joining for voter in membership.voters), "a voter that is joining")


def _check_payload(payload: raft_pb2.LogPayload) -> None:
    if payload.HasField("fenced"):
        named = payload.membership.voters or payload.membership.observers
        marked = payload.fenced.mark == MARK
        _require(FIRST_LEVEL < payload.fenced.level < LEVEL_LIMIT and marked and not named, "a fence")
    elif payload.HasField("membership"):
        _check_membership(payload.membership)


def parse_payload(payload: bytes) -> raft_pb2.LogPayload:
    """Read an entry's payload.

    Raises:
        ProtocolError: it is not a LogPayload, or carries an impossible membership or fence.
    """
    try:
        parsed = raft_pb2.LogPayload.FromString(payload)
    except DecodeError:
        raise ProtocolError("malformed message from a peer: an entry's payload does not parse") from None
    _check_payload(parsed)
    return parsed


def _check_vote_request(request: raft_pb2.VoteRequest, term: int) -> None:
    _require(request.last_log_index < NUMBER_LIMIT and request.last_log_term < term, "last log entry")


def _check_append(append: raft_pb2.AppendEntries, term: int) -> None:
    _require(max(append.prev_index, append.commit_index) < NUMBER_LIMIT, "index")
    _require(append.prev_index >= 1, "previous index")
    _require(len(append.leader_address) <= ADDRESS_LIMIT, "leader address")
    previous_term = append.prev_term
    for position, entry in enumerate(append.entries):
        _require(entry.index == append.prev_index + 1 + position, "entries leave a gap")
        _require(previous_term <= entry.term, "terms fall")
        previous_term = entry.term
        parse_payload(entry.payload)
    _require(previous_term <= term, "an entry of a later term")


def _check_append_response(response: raft_pb2.AppendResponse, _term: int) -> None:
    _require(max(response.match_index, response.prev_index, response.hint_index) < NUMBER_LIMIT, "index")


def check_chunk(chunk: raft_pb2.SnapshotChunk) -> None:
    """Check a piece of a peer's snapshot, or its offer without data.

    Raises:
        ProtocolError: no correct peer sends this.
    """
    _require(chunk.term < NUMBER_LIMIT, "term")
    _require(1 <= chunk.index < NUMBER_LIMIT and chunk.snapshot_term <= chunk.term, "snapshot position")
    _require(0 < chunk.size_bytes <= SNAPSHOT_LIMIT_BYTES, "snapshot size")
    _require(chunk.offset + len(chunk.data) <= chunk.size_bytes, "chunk outside of the snapshot")
    _require(len(chunk.sha256) == SHA256_BYTES, "digest")


def _check_forward(forward: raft_pb2.ForwardProposals, _term: int) -> None:
    for proposal in forward.proposals:
        _require(list(proposal.payload.proposal_ids) == [proposal.proposal_id], "proposal id")
        _check_payload(proposal.payload)
        _require(proposal.payload.fenced.level <= SUPPORTED_LEVEL, "a command of a later feature level")


def _check_reject(reject: raft_pb2.RejectProposals, _term: int) -> None:
    _require(reject.reason in REJECT_REASONS, "reason")
    _require(reject.entries_behind < NUMBER_LIMIT, "entries behind")


def _check_read_index(response: raft_pb2.ReadIndexResponse, _term: int) -> None:
    _require(response.index < NUMBER_LIMIT, "index")


_CHECKS: dict[str, Callable[[Any, int], None]] = {
    "vote_request": _check_vote_request,
    "append_entries": _check_append,
    "append_response": _check_append_response,
    "forward_proposals": _check_forward,
    "reject_proposals": _check_reject,
    "read_index_response": _check_read_index,
}


def check(message: raft_pb2.RaftMessage) -> str:
    """Check a peer's message and return the name of its kind.

    Raises:
        ProtocolError: no correct peer sends this.
    """
    kind = message.WhichOneof("kind")
    _require(kind is not None, "no kind")
    _require(message.term < NUMBER_LIMIT, "term")
    check_kind = _CHECKS.get(str(kind))
    if check_kind is not None:
        check_kind(getattr(message, str(kind)), message.term)
    return str(kind)


def to_log_entries(entries: Iterable[Entry]) -> list[raft_pb2.LogEntry]:
    """Entries for the wire."""
    return [raft_pb2.LogEntry(index=entry.index, term=entry.term, payload=entry.payload) for entry in entries]


def from_log_entries(entries: Iterable[raft_pb2.LogEntry]) -> list[Entry]:
    """Entries for the log."""
    return [Entry(entry.index, entry.term, entry.payload) for entry in entries]


def encode_stock(message: dict[str, Any]) -> raft_pb2.RaftMessage:
    """The messages that pysyncobj still writes itself: votes, and the hand-over of leadership.

    Raises:
        ValueError: any other, none of which may leave this node.
    """
    term = message.get("term", 0)
    match message["type"]:
        case "request_vote":
            request = raft_pb2.VoteRequest(
                last_log_index=message["last_log_index"], last_log_term=message["last_log_term"]
            )
            return raft_pb2.RaftMessage(term=term, vote_request=request)
        case "response_vote":
            return raft_pb2.RaftMessage(term=term, vote_response=raft_pb2.VoteResponse())
        case "timeout_now":
            return raft_pb2.RaftMessage(term=term, timeout_now=raft_pb2.TimeoutNow())
        case kind:
            raise ValueError(f"pysyncobj may not send {kind!r}")


def decode_stock(message: raft_pb2.RaftMessage) -> dict[str, Any]:
    """The same three, for pysyncobj to read."""
    if message.HasField("vote_request"):
        request = message.vote_request
        return {
            "type": "request_vote",
            "term": message.term,
            "last_log_index": request.last_log_index,
            "last_log_term": request.last_log_term,
        }
    return {"type": "response_vote" if message.HasField("vote_response") else "timeout_now", "term": message.term}
