"""HardenedSyncObj: pysyncobj's core with every hazard that was found in it closed.

Upstream keeps the start of an election, the granting of votes, the commit rule, check-quorum, the apply loop and the
order of a tick. Each layer below overrides the private methods of one concern; `pin` refuses any other release.

=== ============================================================ ==================================== ===============
no. hazard in pysyncobj 0.3.17                                   closed by                            test_hazard_...
=== ============================================================ ==================================== ===============
durability (`durability`, `applying`)
H1  an acknowledgement leaves before its entries are on disk     _acknowledge, release_...            h1
H2  a leader counts its own copy before it is on disk            _mark_committable, __getEntries      h2
H9  the snapshot is loaded after messages were handled           load                                 v12
H24 a commit index beyond a cut log is loaded and applied        StorageJournal.getRaftCommitIndex    v4_start
acknowledgements (`feeding`)
H3  a deposed leader learns no later term from answers           _superseded                          h3
H4  acknowledgements carry no term (S2)                          _answered                            s2, v3
H14 match and next index go backwards (S3)                       Progress.acknowledge, back_off       s3, h14
replication (`feeding`, `following`)
H7  a follower truncates without a conflict (S3)                 _take                                s3, v2
H10 what precedes the snapshot is refused for ever               _matches, _has                       v8
H11 commit moves over an unproven tail (S1)                      _commit_proven                       s1, v1, h11
H13 next index beyond the log: no previous entry for ever        _on_append_response, back_off        v8
--  back-off alternates for ever when messages are pipelined     Progress, one flight at a time       v7
--  sends in a loop while a snapshot is written                  __sendAppendEntries                  v10
--  the log is emptied and every tick fails                      trailing entries, the base           v11
proposals (`proposals`, `leading`)
H6  membership and version commands arrive pickled               codec, encode_stock                  (no_pickle)
H8  request ids restart at 0: replies match foreign commands     Proposals: random ids, no replies    v9
H12 callbacks of truncated or covered entries never fire         truncated, covered                   s1
H15 a command that raises stops every node for ever (S5)         _apply_command                       s5
H16 forwarded commands hang when the stream breaks               __onNodeDisconnected                 v9_callbacks
snapshots (`installing`)
H17 an older snapshot replaces a newer one                       snapshot_written                     h17
H18 the log is trimmed apart from its snapshot                   snapshot_written                     v4_start
H19 a damaged snapshot is swallowed: an empty state votes (S9)   load                                 s9, h19
H20 installing clears acknowledged entries behind the snapshot   _adopt                               v4
H21 an old snapshot is installed over newer state                _place, snapshot_prepared            v5
H22 chunks are glued over a gap                                  receive by offset                    v6
H23 the log goes before the snapshot is durable                  finish_receive, snapshot_prepared    (snapshots)
elections (`campaigning`)
H5  messages are counted, not voters                             _on_vote_response                    h5
--  a node outside of the configuration campaigns                _settle_campaign                     removed_node
--  a node that was cut off deposes a working leader             _on_vote_request                     stickiness
--  it comes back with a term that nobody else has               _canvass                             (prevote)
--  a hand-over waits until the old leader is forgotten          _on_vote_request                     (hand_over)
--  a leader without a majority goes by when an answer came      _count_as_heard, _is_followed        (check_quorum)
reads (`reading`)
--  a read of a leader that was deposed unnoticed                _is_confirmed, _next_round           (read_index)
--  a read before an entry of the own term is committed          _begin_question                      (read_index)
--  an answer to an earlier question, run or round counts        _is_confirmed, first_read_id         (read_index)
membership (`voting`, `leading`)
--  voters come from the command line, changes are pickled       Configurations                       membership
--  a change of a past term and one of this overlap (2015)       _refusal                             ongaro_2015
--  a node that joins counts before it has anything              _lags, changed                       (observers)
--  an observer votes, counts or keeps a leader                  _others apart from _members          (observers)
--  an observer of a later term is cut off for ever              _superseded                          (observers)
--  a leader outside of the configuration counts itself          _quorum_index, _leave_if_removed     removed_leader
--  a removed node that does not know it goes on writing         _on_forward_proposals                removed_node
--  a voter goes, and those that answer are no majority any more _majority_answers                    (observers)
=== ============================================================ ==================================== ===============
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from weftmesh.agent.raft.core import codec
from weftmesh.agent.raft.core.codec import ProtocolError
from weftmesh.agent.raft.core.pin import CANDIDATE, monotonic_s
from weftmesh.agent.raft.core.recovering import Recovering
from weftmesh.agent.raft.core.stock import CoreParts, Peer, peer_of
from weftmesh.agent.raft.engine import PeerStatus, RaftStatus, Role
from weftmesh.mesh.v1 import raft_pb2

Handler = Callable[["HardenedSyncObj", Peer, raft_pb2.RaftMessage], None]
_QUIET = frozenset(("append_entries", "append_response"))
"""Messages that may leave nothing for a tick; all others are rare."""


class HardenedSyncObj(Recovering):
    """The core: messages, ticks and completed writes go in; messages and applied commands come out."""

    def __init__(self, parts: CoreParts) -> None:
        self._stirred = True
        self._settled_at: tuple[object, ...] = ()
        super().__init__(parts)

    def receive(self, name: str, message: raft_pb2.RaftMessage) -> None:
        """Handle a message of an authenticated peer.

        Raises:
            ProtocolError: it is malformed or impossible; nothing was changed by it but perhaps the term.
        """
        if name == self._parts.name:
            raise ProtocolError(f"a peer presents itself as {name}, which is this node")
        kind = codec.check(message)
        self._stirred = self._stirred or kind not in _QUIET
        _HANDLERS[kind](self, peer_of(name), message)

    def connected(self, name: str) -> None:
        """Messages can be sent to this peer."""
        self._stirred = True
        self._SyncObj__onNodeConnected(peer_of(name))

    def disconnected(self, name: str) -> None:
        """What was on its way to this peer is gone."""
        self._stirred = True
        self._SyncObj__onNodeDisconnected(peer_of(name))

    def tick(self) -> None:
        """Do everything that is due; cheap when nothing is."""
        self.release_acknowledgements()
        self._settle_campaign()
        self._mark_committable()
        self._onTick(0.0)
        self._settle_configuration()
        self._continue_hand_over()
        self._leave_if_removed()
        if self._reads_wait:
            self._serve_reads()
        self._stirred = False
        self._settled_at = self._standing() if self._hears_majority() else ()

    @property
    def has_work(self) -> bool:
        """Whether a message or a sync since the last tick left anything for the next one, its deadline apart.

        Half of them do not: an append that commits nothing, the acknowledgement of the slower follower, the end of a
        follower's sync. A tick for nothing costs as much as the message itself.
        """
        if self._stirred or self._applied < self._commit or self._reads_wait or self._handing_over:
            return True
        if self._parts.proposals.queued or self._standing() != self._settled_at:
            return True
        return self.leads and (self._quorum_index() > self._commit or self._has_food())

    def _standing(self) -> tuple[object, ...]:
        return self._role, self._term, self._leader, self._configurations.index

    @property
    def behind(self) -> bool:
        """Whether another tick has work at once: committed entries to apply, or proposals to hand on."""
        waits = self._can_hand_on() and self._parts.proposals.next_try_s() <= monotonic_s()
        return self._applied < self._commit or waits

    def next_deadline_s(self) -> float:
        """When to tick if nothing happens before."""
        deadline_s = float("inf")
        if self.leads:
            if self._members:
                deadline_s = min(self._feed_deadline_s(), monotonic_s() + self._settings.idle_heartbeat_s)
        elif self._may_campaign():
            deadline_s = self._election_deadline_s
        elif self._hears_majority():
            # no election tells whoever does not vote that its leader is silent
            deadline_s = self._heard_leader_s + self._settings.election_max_s
        if self._can_hand_on():
            deadline_s = min(deadline_s, self._parts.proposals.next_try_s())
        if self._reads_wait:
            deadline_s = min(deadline_s, self._read_deadline_s())
        return deadline_s

    # handing over

    def hand_over(self, wanted: bool) -> None:
        """Begin to hand leadership to the most up-to-date voter, or think better of it."""
        self._handing_over = wanted and self.leads

    def _continue_hand_over(self) -> None:
        """The target is asked only once it has the whole log; until then take nothing new."""
        if self._handing_over and self._others:
            self.transferLeadership()

    def _leave_if_removed(self) -> None:
        """A leader that was removed leads until that is committed, and is not part of the majority meanwhile."""
        if self.leads and not self.votes and self._commit >= self._configurations.index:
            self.transferLeadership()
            self._step_down()

    # what others see

    def _hears_majority(self) -> bool:
        return self._is_followed(monotonic_s()) if self.leads else self._hears_leader()

    def summary(self) -> tuple[object, ...]:
        """What observers want to hear of when it changes."""
        return self._role, self._term, self._leader, self._hears_majority(), self.configuration

    def status(self) -> RaftStatus:
        """A consistent moment."""
        members = self.configuration
        return RaftStatus(
            node=self._parts.name,
            role=self._public_role(),
            term=self._term,
            leader=self._leader.name if self._leader is not None else "",
            quorum=self._hears_majority(),
            commit_index=self._commit,
            applied_index=self._applied,
            first_index=self._storage.base_index + 1,
            last_index=self._storage.last_index,
            last_term=self._storage.term_at(self._storage.last_index) or 0,
            snapshot_index=self._snapshot_index,
            pending=len(self._parts.proposals),
            voters=members.voters,
            observers=members.observers,
            joining=members.joining,
            peers=tuple(
                self._peer_status(*member)
                for member in sorted(members.members.items())
                if member[0] != self._parts.name
            ),
        )

    def _public_role(self) -> Role:
        if self.leads:
            return Role.LEADER
        if self.votes:
            return Role.CANDIDATE if self._role == CANDIDATE or self._canvassing else Role.FOLLOWER
        _, observers, joining = self.configuration
        name = self._parts.name
        return Role.OBSERVER if name in observers and name not in joining else Role.JOINING

    def _peer_status(self, name: str, address: str) -> PeerStatus:
        peer = peer_of(name)
        progress = self._progress.get(peer) if self.leads else None
        return PeerStatus(name, address, peer in self._connected, progress.match_index if progress else 0)


_HANDLERS: Mapping[str, Handler] = {
    "vote_request": HardenedSyncObj._on_vote_request,
    "vote_response": HardenedSyncObj._on_vote_response,
    "append_entries": HardenedSyncObj._on_append_entries,
    "append_response": HardenedSyncObj._on_append_response,
    "timeout_now": HardenedSyncObj._on_timeout_now,
    "forward_proposals": HardenedSyncObj._on_forward_proposals,
    "reject_proposals": HardenedSyncObj._on_reject_proposals,
    "read_index_request": HardenedSyncObj._on_read_index_request,
    "read_index_response": HardenedSyncObj._on_read_index_response,
}
