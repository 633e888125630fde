"""Who may campaign, when that is worth a term, and whose vote counts: the hazards of elections."""

from __future__ import annotations

from weftmesh.agent.raft.core import codec
from weftmesh.agent.raft.core.membership import quorum_size
from weftmesh.agent.raft.core.pin import CANDIDATE, monotonic_s
from weftmesh.agent.raft.core.stock import CoreParts, Peer
from weftmesh.agent.raft.core.voting import LONG_AGO_S, Voting
from weftmesh.mesh.v1 import raft_pb2

DECIDED_S = 0.0
"""An election deadline that no clock gives: this node campaigns at the next tick, without asking the others first."""
CANVASSES_A_TIMEOUT = 4
"""How many times a voter without a leader asks the others in one election timeout; asking raises no term."""


class Campaigning(Voting):
    """pysyncobj's elections, with a canvass before each (Raft thesis, 9.6) and with leader stickiness (4.2.3)."""

    def __init__(self, parts: CoreParts) -> None:
        self._granted: tuple[int, set[Peer]] = (0, set())
        self._would_vote: tuple[int, set[Peer]] = (0, set())
        self._canvass_until_s = DECIDED_S
        self._campaign_by_transfer = False
        self._missed: tuple[Peer | None, float] = (None, LONG_AGO_S)
        super().__init__(parts)
        # this process may replace one that heard a leader a moment ago
        self._heard_leader_s = monotonic_s()

    # this node's campaign

    def _may_campaign(self) -> bool:
        """A node outside of its own configuration, removed or still joining, never starts an election."""
        return self.votes

    def _settle_campaign(self) -> None:
        """Before pysyncobj looks at its deadline: hold back who may not campaign, and let a sole voter go at once."""
        if self.leads:
            return
        if not self._may_campaign():
            self._told_to_campaign = False
            self._new_election_deadline()
        elif not self._others:
            self._election_deadline_s = DECIDED_S
        elif self._election_deadline_s < monotonic_s():
            self._begin_campaign()

    def _begin_campaign(self) -> None:
        """The deadline has passed. One that is left so lets pysyncobj campaign in this tick."""
        self._campaign_by_transfer = self._told_to_campaign
        if not self._SyncObj__connectedToAnyone():
            self._told_to_campaign = False
            self._new_election_deadline()
        elif self._election_deadline_s != DECIDED_S:
            self._canvass()

    def _SyncObj__connectedToAnyone(self) -> bool:  # noqa: N802 - pysyncobj's name
        """Only connected voters make an election worth its term."""
        return not self._others or not self._others.isdisjoint(self._connected)

    # a leader whose process may have ended

    def _SyncObj__onNodeDisconnected(self, node: Peer) -> None:  # noqa: N802
        """A stream that breaks is most often a process that ended, and the kernel tells at once.

        The leader then has one idle heartbeat's time to be heard, instead of an election timeout. One that was heard
        by a majority keeps its place: nobody who hears it would vote.
        """
        super()._SyncObj__onNodeDisconnected(node)
        if node == self._leader:
            now_s = monotonic_s()
            self._missed = (node, now_s + self._settings.election_max_s)
            deadline_s = now_s + self._SyncObj__generateRaftTimeout()
            self._election_deadline_s = min(self._election_deadline_s, deadline_s)

    def _SyncObj__onNodeConnected(self, node: Peer) -> None:  # noqa: N802
        super()._SyncObj__onNodeConnected(node)
        if node == self._missed[0]:
            self._missed = (None, LONG_AGO_S)

    def _misses_leader(self) -> bool:
        """Whether the stream to the leader broke a moment ago, and there is no other leader since."""
        missed, until_s = self._missed
        return missed is not None and self._leader in (None, missed) and monotonic_s() < until_s

    def _SyncObj__generateRaftTimeout(self) -> float:  # noqa: N802
        timeout_s = float(super()._SyncObj__generateRaftTimeout())
        if self._misses_leader():
            timeout_s *= self._settings.missed_leader_s / self._settings.election_min_s
        return timeout_s

    @property
    def _canvassing(self) -> bool:
        """Whether this node waits for answers to its canvass; whatever moves the deadline ends it."""
        return self._election_deadline_s == self._canvass_until_s != DECIDED_S

    def _canvass(self) -> None:
        """Ask whether a majority would vote for this node; its term stays until one says so."""
        wanted_term = self._term + 1
        if not self._canvassing or self._would_vote[0] != wanted_term:
            self._would_vote = (wanted_term, set())
        self._leader, self._told_to_campaign = None, False
        self._new_election_deadline()
        now_s = monotonic_s()
        self._canvass_until_s = now_s + (self._election_deadline_s - now_s) / CANVASSES_A_TIMEOUT
        self._election_deadline_s = self._canvass_until_s
        last = self._storage.last_index
        request = raft_pb2.VoteRequest(
            pre_vote=True, last_log_index=last, last_log_term=self._storage.term_at(last) or 0
        )
        for peer in self._others:
            self._parts.send(peer.name, raft_pb2.RaftMessage(term=wanted_term, vote_request=request))

    def _on_canvass_answer(self, voter: Peer, message: raft_pb2.RaftMessage) -> None:
        """Voters are counted, not answers, and only while this node still misses a leader."""
        if not self._canvassing:
            return
        if message.vote_response.refused:
            if self._superseded(voter, message.term):
                self._election_deadline_s = self._canvass_until_s = monotonic_s()  # ask again, in a later term
            return
        wanted_term, voters = self._would_vote
        if voter not in self._others or not message.term == wanted_term == self._term + 1:
            return
        voters.add(voter)
        if len(voters & self._others) + 1 >= quorum_size(self.voters):
            self._election_deadline_s = DECIDED_S

    def _send_stock(self, name: str, message: raft_pb2.RaftMessage) -> bool:
        if message.HasField("vote_request"):
            message.vote_request.leadership_transfer = self._campaign_by_transfer
        return super()._send_stock(name, message)

    def _on_timeout_now(self, leader: Peer, message: raft_pb2.RaftMessage) -> None:
        """The leader hands over: campaign at the next tick."""
        self._to_stock(leader, message)

    # this node's vote

    def _heard_recently(self) -> bool:
        """Whether a leader is at work, as far as this node knows: then nobody is helped to depose it."""
        if self.leads:
            return not self._handing_over
        patience_s = self._settings.missed_leader_s if self._misses_leader() else self._settings.election_min_s
        return monotonic_s() - self._heard_leader_s < patience_s

    def _is_complete(self, request: raft_pb2.VoteRequest) -> bool:
        """Whether the candidate's log has all that this node's may have committed."""
        last = self._storage.last_index
        return (request.last_log_term, request.last_log_index) >= (self._storage.term_at(last) or 0, last)

    def _on_vote_request(self, candidate: Peer, message: raft_pb2.RaftMessage) -> None:
        """Leader stickiness: a node that was cut off or removed must not disturb a working mesh.

        Unless the leader itself wants that candidate: then waiting would only keep everybody without a leader.
        """
        request = message.vote_request
        if request.pre_vote:
            self._answer_canvass(candidate, message)
        elif not self._heard_recently() or (request.leadership_transfer and self._is_complete(request)):
            self._to_stock(candidate, message)

    def _answer_canvass(self, candidate: Peer, message: raft_pb2.RaftMessage) -> None:
        """Say that this node would vote, or in which term it is already; promises nothing."""
        if self.leads or self._heard_recently() or not self._is_complete(message.vote_request):
            return
        refused = message.term <= self._term
        answer = raft_pb2.VoteResponse(pre_vote=True, refused=refused)
        term = self._term if refused else message.term
        self._parts.send(candidate.name, raft_pb2.RaftMessage(term=term, vote_response=answer))

    # votes for this node

    def _on_vote_response(self, voter: Peer, message: raft_pb2.RaftMessage) -> None:
        """Where messages were counted, a vote counts once, for its term, and only from a voter."""
        if message.vote_response.pre_vote:
            self._on_canvass_answer(voter, message)
            return
        if self._superseded(voter, message.term) or message.term != self._term or self._role != CANDIDATE:
            return
        if self._granted[0] != self._term:
            self._granted = (self._term, set())
        if voter in self._others and voter not in self._granted[1]:
            self._granted[1].add(voter)
            self._to_stock(voter, message)

    def _to_stock(self, peer: Peer, message: raft_pb2.RaftMessage) -> None:
        self._SyncObj__onMessageReceived(peer, codec.decode_stock(message))
