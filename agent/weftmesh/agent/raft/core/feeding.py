"""How a leader feeds its peers: one message with entries on its way to each, everything newer rides in the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from weftmesh.agent.raft.core import codec
from weftmesh.agent.raft.core.codec import ProtocolError
from weftmesh.agent.raft.core.following import Following
from weftmesh.agent.raft.core.membership import Configuration, quorum_size
from weftmesh.agent.raft.core.pin import LEADER, monotonic_s
from weftmesh.agent.raft.core.progress import Progress
from weftmesh.agent.raft.core.stock import CoreParts, Peer, peer_of
from weftmesh.agent.raft.ports import Entry
from weftmesh.mesh.v1 import raft_pb2

ROUNDS_PER_S = 1_000_000
"""A round is the clock in this unit, or the next number if that is higher."""


@dataclass(frozen=True, slots=True)
class Leaving:
    """A removed member that may not have learned of its removal yet."""

    address: str
    removed_at_index: int
    until_s: float


class Feeding(Following):
    """Replaces pysyncobj's sender, and its reading of acknowledgements."""

    def __init__(self, parts: CoreParts) -> None:
        self._progress: dict[Peer, Progress] = {}
        self._leaving: dict[Peer, Leaving] = {}
        self._round = 0
        self._quorum_check_at_s = 0.0
        super().__init__(parts)

    # who is fed

    def _SyncObj__onBecomeLeader(self) -> None:  # noqa: N802 - pysyncobj's name
        """Nothing is known of any peer's log in a new term."""
        next_index = self._storage.last_index + 1
        self._progress = {peer: Progress(next_index) for peer in self._members}
        self._stamped_commit = self._commit
        super()._SyncObj__onBecomeLeader()

    def _on_state_changed(self, old: int, new: int) -> None:
        super()._on_state_changed(old, new)
        if old == LEADER:
            self._progress.clear()
            self._leaving.clear()
            self._parts.set_peers(self._addresses())

    def _configuration_changed(self) -> None:
        """A new member is fed from here on; a removed one until it knows."""
        before, voted_before = self._members, self._others
        super()._configuration_changed()
        if not self.leads:
            return
        for peer in self._members - before:
            self._leaving.pop(peer, None)
            self._progress[peer] = Progress(self._storage.last_index + 1)
        for peer in self._others - voted_before:
            self._match[peer] = self._progress[peer].match_index

    def _part_with(self, before: Configuration) -> None:
        """Keep in touch with whoever was a member before, so that it learns that it is none now."""
        until_s = monotonic_s() + self._settings.leaving_grace_s
        members = before.members
        for name in members.keys() - self.configuration.members.keys() - {self._parts.name}:
            self._leaving[peer_of(name)] = Leaving(members[name], self._configurations.index, until_s)

    def _addresses(self) -> dict[str, str]:
        leaving = {peer.name: leaving.address for peer, leaving in self._leaving.items()}
        return {**leaving, **super()._addresses()}

    def _forget_the_removed(self, now_s: float) -> None:
        """Those that were told that their removal is committed, or had time enough to learn it."""
        gone = [
            peer
            for peer, leaving in self._leaving.items()
            if now_s >= leaving.until_s or self._knows_commit(self._progress[peer], leaving.removed_at_index)
        ]
        for peer in gone:
            del self._leaving[peer], self._progress[peer]
        if gone:
            self._parts.set_peers(self._addresses())

    @staticmethod
    def _knows_commit(progress: Progress, index: int) -> bool:
        return progress.match_index >= index and progress.sent_commit >= index

    def _first_transferred(self, otherwise: int) -> int:
        transfers = (progress.transfer for progress in self._progress.values())
        return min((transfer.info.header.last_index for transfer in transfers if transfer), default=otherwise)

    # sending

    def _SyncObj__sendAppendEntries(self) -> None:  # noqa: N802
        """The heartbeat of pysyncobj, which sends without end while it waits for a snapshot; `_feed` has its own."""

    def _feed_peers(self) -> None:
        now_s = monotonic_s()
        if now_s >= self._quorum_check_at_s and not self._keeps_quorum(now_s):
            self._step_down()
            return
        connected = [(peer, progress) for peer, progress in self._progress.items() if self._is_connected(peer)]
        silence_s = self._silence_s([progress for _, progress in connected], now_s)
        for peer, progress in connected:
            self._feed(peer, progress, now_s, silence_s)

    def _silence_s(self, fed: Sequence[Progress], now_s: float) -> float:
        """How long a peer has been sent nothing before it gets a heartbeat now.

        When one is due, those go with it that soon would be, and stay together: each tick of its own for a heartbeat
        costs an idle leader as much as the message.
        """
        heartbeat_s = self._heartbeat_s()
        any_due = any(now_s >= progress.sent_at_s + heartbeat_s for progress in fed)
        return heartbeat_s / 2 if any_due else heartbeat_s

    def _feed(self, peer: Peer, progress: Progress, now_s: float, silence_s: float) -> None:
        storage = self._storage
        if progress.next_index <= storage.base_index:
            self._feed_snapshot(peer, progress, now_s)
            if now_s >= progress.sent_at_s + silence_s:
                # it is refused, and yet says that a leader is at work, and hears that the peer listens
                self._append(peer, progress, storage.base_index, (), self._next_round(progress))
        elif progress.next_index <= storage.last_index and (not progress.flight_last or now_s >= progress.resend_at_s):
            entries = storage.entries_from(progress.next_index, self._settings.append_limit_bytes)
            progress.resend_at_s = now_s + self._settings.patience_s
            if self._append(peer, progress, progress.next_index - 1, entries, self._next_round(progress)):
                progress.flight_last = entries[-1].index
        elif self._has_news(progress):
            self._append(peer, progress, progress.end_of_flight, (), 0)
        elif now_s >= progress.sent_at_s + silence_s:
            self._append(peer, progress, progress.end_of_flight, (), self._next_round(progress))

    def _has_food(self) -> bool:
        """Whether a peer that can be reached could be sent something now."""
        last = self._storage.last_index
        return any(
            self._has_news(progress) or (progress.next_index <= last and not progress.flight_last)
            for peer, progress in self._progress.items()
            if self._is_connected(peer)
        )

    def _has_news(self, progress: Progress) -> bool:
        """Whether a commit can be announced that the peer can use now.

        What was committed beyond its log travels with the entries: a message for each commit would bury a peer that
        is slow already.
        """
        return progress.sent_commit < min(self._commit, progress.end_of_flight)

    def _heartbeat_s(self) -> float:
        busy = self._commit < self._storage.last_index
        return self._settings.heartbeat_s if busy else self._settings.idle_heartbeat_s

    def _next_round(self, progress: Progress) -> int:
        """A new round begins: an answer that repeats it was given after now."""
        progress.sent_at_s = now_s = monotonic_s()
        self._round = max(self._round + 1, int(now_s * ROUNDS_PER_S))
        return self._round

    def _append(self, peer: Peer, progress: Progress, prev_index: int, entries: Sequence[Entry], round_: int) -> bool:
        """Send entries that follow `prev_index`; without any it tells the commit index and that a leader is there.

        Only with a round, or with entries, an answer comes.
        """
        prev_term = self._storage.term_at(prev_index)
        if prev_term is None:
            return False
        append = raft_pb2.AppendEntries(
            prev_index=prev_index,
            prev_term=prev_term,
            entries=codec.to_log_entries(entries),
            commit_index=self._commit,
            commit_time_us=self._commit_time_us if progress.live else 0,
            leader_address=self._parts.address,
            round=round_,
        )
        sent = self._send(peer, append_entries=append)
        if sent:
            progress.sent_commit = min(self._commit, prev_index + len(entries))
        return sent

    # answers

    def _answered(self, peer: Peer, message: raft_pb2.RaftMessage) -> Progress | None:
        """The peer's progress, if the answer is to this leader in this term; acknowledgements of old terms count not.

        pysyncobj's acknowledgements carry no term: those of an old log are counted for another one.
        """
        if self._superseded(peer, message.term) or message.term != self._term or not self.leads:
            return None
        return self._progress.get(peer)

    def _count_as_heard(self, peer: Peer, progress: Progress, round_: int) -> None:
        """The peer followed this leader when it answered; for how long that counts goes by when it was asked.

        Raises:
            ProtocolError: it repeats a round that has not begun.
        """
        if round_ > self._round:
            raise ProtocolError(f"{peer.name} answers a message that was not sent")
        progress.heard_round = max(progress.heard_round, round_)
        if peer in self._others:
            asked_s = round_ / ROUNDS_PER_S if round_ else progress.sent_at_s
            self._last_response_s[peer] = max(self._last_response_s[peer], asked_s)

    def _is_followed(self, now_s: float) -> bool:
        """Whether most voters answered what was sent to them within an election timeout."""
        since_s = now_s - self._settings.election_max_s
        heard = sum(1 for peer in self._others if self._last_response_s[peer] > since_s)
        return heard + self.votes >= quorum_size(self.voters)

    def _keeps_quorum(self, now_s: float) -> bool:
        """Check-quorum (Raft thesis, 6.2), in place of pysyncobj's.

        If the process did not run for a while, nobody could be asked, and answers may be waiting here unread: it asks
        first, and looks again at the next heartbeat.
        """
        slept = now_s - self._quorum_check_at_s > self._settings.election_min_s / 2
        self._quorum_check_at_s = now_s + self._settings.idle_heartbeat_s
        return slept or self._is_followed(now_s)

    def _on_append_response(self, peer: Peer, message: raft_pb2.RaftMessage) -> None:
        """Match and next index move forward only; backwards only for a refusal of what was sent last."""
        progress, response = self._answered(peer, message), message.append_response
        if progress is None:
            return
        self._count_as_heard(peer, progress, response.round)
        if not response.accepted:
            progress.back_off(response.prev_index, response.hint_index)
            return
        progress.acknowledge(min(response.match_index, self._storage.last_index))
        progress.live = progress.live or progress.match_index >= self._commit
        if peer in self._others:
            self._match[peer] = progress.match_index

    def snapshot_sent(self, name: str, answer: raft_pb2.InstallSnapshotResponse | None) -> None:
        """The call that was sending a snapshot to a peer is over: with its last answer, or None when it broke."""
        peer = peer_of(name)
        if answer is not None and self._superseded(peer, answer.term):
            return
        if peer in self._progress:
            self._snapshot_offered(self._progress[peer])

    # streams

    def _SyncObj__onNodeDisconnected(self, node: Peer) -> None:  # noqa: N802
        """What was on its way is gone, both ways: nothing waits for an answer that cannot come."""
        super()._SyncObj__onNodeDisconnected(node)
        if node in self._progress:
            self._progress[node].disconnected()
        if node == self._leader:
            self._parts.proposals.leader_lost()

    def _feed_deadline_s(self) -> float:
        """When the next heartbeat, resend or farewell is due."""
        heartbeat_s = self._heartbeat_s()
        due = [progress.due_s(heartbeat_s) for peer, progress in self._progress.items() if self._is_connected(peer)]
        return min([*due, *(leaving.until_s for leaving in self._leaving.values())], default=float("inf"))
