"""What a leader takes into its log, and how proposals reach it from the other nodes."""

from __future__ import annotations

from collections.abc import Sequence

from weftmesh.agent.raft.core.feeding import ROUNDS_PER_S, Feeding
from weftmesh.agent.raft.core.fencing import configuration_in
from weftmesh.agent.raft.core.membership import (
    Configuration,
    Voters,
    is_single_change,
    quorum_size,
    to_membership,
)
from weftmesh.agent.raft.core.pin import monotonic_s
from weftmesh.agent.raft.core.progress import FIRST_INDEX
from weftmesh.agent.raft.core.proposals import Refusal, Waiter, rejection
from weftmesh.agent.raft.core.stock import CoreParts, Peer, peer_of
from weftmesh.agent.raft.ports import Entry
from weftmesh.mesh.v1 import raft_pb2

BUSY = Refusal("membership_busy")


class Leading(Feeding):
    """Replaces pysyncobj's command queue and its forwarding, whose replies name nobody."""

    def __init__(self, parts: CoreParts) -> None:
        self._followed: tuple[Peer | None, int] = (None, 0)
        super().__init__(parts)

    def _SyncObj__onBecomeLeader(self) -> None:  # noqa: N802 - pysyncobj's name
        super()._SyncObj__onBecomeLeader()
        if self._configurations.index == FIRST_INDEX:
            # the founder's own configuration is in no log yet; whoever joins must find it there
            self._take_in([raft_pb2.LogPayload(membership=to_membership(*self.configuration))])

    # the log

    def _refusal(self, new: Configuration) -> Refusal | None:
        """Why the members may not change so now.

        One at a time, the last change committed, and an entry of this term too (Ongaro's 2015 correction).
        """
        now = self.configuration
        if self._configurations.index == FIRST_INDEX:
            return None if new == now else BUSY
        settled = self._configurations.index <= self._commit and self._commit >= (self._noop_index or 0)
        if not settled or not is_single_change(now, new):
            return BUSY
        if now.voters.keys() - new.voters.keys() and not self._majority_answers(new.voters):
            return Refusal("voters_silent")
        promoted = [name for name in new.voters if name in now.observers]
        return self._lags(peer_of(promoted[0])) if promoted else None

    def _answers(self, peer: Peer) -> bool:
        """Whether it answered this leader a moment ago."""
        progress = self._progress.get(peer)
        since_s = monotonic_s() - self._settings.election_min_s
        return progress is not None and self._is_connected(peer) and progress.heard_round / ROUNDS_PER_S >= since_s

    def _majority_answers(self, voters: Voters) -> bool:
        """Whether these could decide anything: without a voter that answers, the rest may be no majority any more."""
        here = self._parts.name
        count = sum(1 for name in voters if name == here or self._answers(peer_of(name)))
        return count >= quorum_size(voters)

    def _lags(self, observer: Peer) -> Refusal | None:
        """Why an observer may not vote yet: one that is behind or away would weaken the majority."""
        if not self._answers(observer):
            return Refusal("observer_silent")
        match_index = self._progress[observer].match_index
        entries_behind = self._commit - match_index
        # in a young mesh nothing is far behind, not even an empty log
        if match_index < self._configurations.index or entries_behind > self._settings.promote_lag_entries:
            return Refusal("observer_behind", entries_behind)
        return None

    def _take_in(self, payloads: Sequence[raft_pb2.LogPayload]) -> list[int | Refusal]:
        """Append payloads; returns the index of each, or why a change of the members may not be made now."""
        entries: list[Entry] = []
        indexes: list[int | Refusal] = []
        before = self.configuration
        for payload in payloads:
            index = self._storage.last_index + len(entries) + 1
            configuration = configuration_in(payload)
            if configuration is not None:
                refusal = self._refusal(configuration)
                if refusal is not None:
                    indexes.append(refusal)
                    continue
                self._configurations.push(index, configuration)
            entries.append(Entry(index, self._term, payload.SerializeToString()))
            indexes.append(index)
        if entries:
            self._storage.append(entries)
        if self.configuration is not before:
            self._part_with(before)
            self._configuration_changed()
        return indexes

    @property
    def _overloaded(self) -> bool:
        return self._storage.last_index - self._commit >= self._settings.uncommitted_limit

    # this node's proposals

    def _can_hand_on(self) -> bool:
        """Whether queued proposals would go anywhere."""
        if self.leads:
            return not self._overloaded and not self._handing_over
        return self._leader is not None and self._hears_leader() and self._is_connected(self._leader)

    def _checkCommandsToApply(self) -> None:  # noqa: N802 - pysyncobj's name
        """Once a tick, after committing: hand on what waits, then feed the peers with all of it at once."""
        now_s = monotonic_s()
        self._notice_new_leader()
        if self.leads:
            self._take_own(now_s)
            self._feed_peers()
            self._forget_the_removed(now_s)
        elif self._leader is not None and self._can_hand_on():
            self._forward(self._leader, now_s)

    def _notice_new_leader(self) -> None:
        followed = (self._leader, self._term)
        if followed != self._followed:
            self._followed = followed
            self._parts.proposals.leader_lost()

    def _take_own(self, now_s: float) -> None:
        if not self._parts.proposals.queued or not self._can_hand_on():
            return
        waiters = self._parts.proposals.take(now_s, self._settings.append_limit_bytes)
        indexes = self._take_in([waiter.payload for waiter in waiters])
        for waiter, index in zip(waiters, indexes, strict=True):
            if isinstance(index, Refusal):
                self._parts.proposals.fail(waiter, rejection(index))
            else:
                self._parts.proposals.logged(waiter, index)

    def _forward(self, leader: Peer, now_s: float) -> None:
        proposals = self._parts.proposals
        waiters = proposals.take(now_s, self._settings.append_limit_bytes) if proposals.queued else []
        if not waiters:
            return
        if self._send(leader, forward_proposals=_forward_message(waiters)):
            proposals.forwarded(waiters, leader.name)
        else:
            proposals.put_back(waiters, now_s + self._settings.retry_s)

    # other nodes' proposals

    def _on_forward_proposals(self, peer: Peer, message: raft_pb2.RaftMessage) -> None:
        """Take them all or say at once which ones entered no log."""
        proposals = message.forward_proposals.proposals
        ids = [proposal.proposal_id for proposal in proposals]
        if not self.leads or self._handing_over or peer not in self._members:
            # one that was removed may not know it yet, and has no say any more
            self._reject(peer, ids, Refusal("not_leader"))
        elif self._overloaded:
            self._reject(peer, ids, Refusal("overloaded"))
        else:
            indexes = self._take_in([proposal.payload for proposal in proposals])
            for proposal_id, index in zip(ids, indexes, strict=True):
                if isinstance(index, Refusal):
                    self._reject(peer, [proposal_id], index)

    def _reject(self, peer: Peer, proposal_ids: list[int], refusal: Refusal) -> None:
        message = raft_pb2.RejectProposals(
            proposal_ids=proposal_ids, reason=refusal.reason, entries_behind=refusal.entries_behind
        )
        self._send(peer, reject_proposals=message)

    def _on_reject_proposals(self, peer: Peer, message: raft_pb2.RaftMessage) -> None:
        reject, retry_s = message.reject_proposals, monotonic_s() + self._settings.retry_s
        refusal = Refusal(reject.reason, reject.entries_behind)
        self._parts.proposals.rejected(peer.name, reject.proposal_ids, refusal, retry_s)


def _forward_message(waiters: Sequence[Waiter]) -> raft_pb2.ForwardProposals:
    proposals = [raft_pb2.Proposal(proposal_id=waiter.proposal_id, payload=waiter.payload) for waiter in waiters]
    return raft_pb2.ForwardProposals(proposals=proposals)
