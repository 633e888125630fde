"""Linearizable reads that put nothing into the log: ReadIndex (Raft thesis, 6.4).

A leader notes its commit index, asks the voters, and serves the read once a majority has answered a message that was
sent afterwards and that index is applied. A follower asks its leader for that index and waits until it has applied it.
One question stands for all reads that wait when it is asked; at most one is on its way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import takewhile

from weftmesh.agent.raft.core.leading import Leading
from weftmesh.agent.raft.core.membership import quorum_size
from weftmesh.agent.raft.core.pin import monotonic_s
from weftmesh.agent.raft.core.stock import CoreParts, Peer
from weftmesh.core.errors import OverloadedError, WeftmeshError
from weftmesh.mesh.v1 import raft_pb2

ReadDone = Callable[[int | WeftmeshError], None]
"""Called with the applied index, or with why there is none."""
NEVER_S = float("inf")


@dataclass(slots=True)
class Question:
    """What was asked for all reads up to the ticket `upto`; a follower's goes by that number too."""

    upto: int
    index: int = 0
    """A leader's commit index when it asked."""
    after_round: int = 0
    """Only answers to later rounds of a leader count."""
    askers: dict[Peer, int] = field(default_factory=dict)
    """The followers that get a leader's answer, and the number of each one's question."""
    resend_at_s: float = 0.0
    """When a follower asks again."""


class Reading(Leading):
    """Reads of this node and, while it leads, of the others."""

    def __init__(self, parts: CoreParts) -> None:
        self._reads: dict[int, ReadDone] = {}
        self._last_ticket = parts.first_read_id
        self._askers: dict[Peer, int] = {}
        self._question: Question | None = None
        self._asked_of: tuple[Peer | None, int] = (None, 0)
        self._answered_reads: deque[tuple[int, int]] = deque()
        self._reads_wait = False
        super().__init__(parts)

    def begin_read(self, done: ReadDone) -> int:
        """Begin a read; it may be served as soon as `done` is called with an index. Returns its ticket.

        Raises:
            OverloadedError: too many reads wait already.
        """
        limit = self._settings.pending_limit
        if len(self._reads) >= limit:
            raise OverloadedError(f"{limit} reads wait on this node already; try again a little later")
        self._last_ticket += 1
        self._reads[self._last_ticket] = done
        self._reads_wait = True
        return self._last_ticket

    def forget_read(self, ticket: int) -> None:
        """Nobody waits for it any more."""
        self._reads.pop(ticket, None)

    def give_up_reads(self, why: WeftmeshError) -> None:
        """The engine ends."""
        reads, self._reads = self._reads, {}
        for done in reads.values():
            done(why)

    # a tick

    def _serve_reads(self) -> None:
        """Ask, and serve what is certain and applied. Only called while `_reads_wait`."""
        if (self._leader, self._term) != self._asked_of:
            self._ask_another()
        if self.leads:
            self._ask_majority()
        else:
            self._ask_leader()
        self._finish_applied()
        self._reads_wait = bool(self._reads or self._askers or self._question)

    def _ask_another(self) -> None:
        """The leader has changed: whoever was asked may never answer, or no longer has the right to."""
        self._asked_of = (self._leader, self._term)
        question, self._question = self._question, None
        if not self.leads:
            for peer, read_id in [*self._askers.items(), *(question.askers.items() if question else ())]:
                self._refuse_read(peer, read_id)
            self._askers = {}

    def _is_unasked(self) -> bool:
        """Whether a read waits that no question stands for."""
        answered = self._answered_reads[-1][1] if self._answered_reads else 0
        return bool(self._reads) and next(reversed(self._reads)) > answered

    def _finish_applied(self) -> None:
        answered = self._answered_reads
        while answered and answered[0][0] <= self._applied:
            _, upto = answered.popleft()
            for ticket in list(takewhile(upto.__ge__, self._reads)):
                self._reads.pop(ticket)(self._applied)

    # a leader

    def _ask_majority(self) -> None:
        while True:
            question = self._question or self._begin_question()
            if question is None or not self._is_confirmed(question.after_round):
                return
            self._question = None
            self._answered_reads.append((question.index, question.upto))
            for peer, read_id in question.askers.items():
                answer = raft_pb2.ReadIndexResponse(read_id=read_id, index=question.index)
                self._send(peer, read_index_response=answer)

    def _begin_question(self) -> Question | None:
        """Note the commit index, which says nothing before an entry of this term is committed, and ask the voters.

        Whoever does not get the message is asked by the next heartbeat.
        """
        if self._commit < (self._noop_index or 0) or not (self._askers or self._is_unasked()):
            return None
        self._question = question = Question(self._last_ticket, self._commit, self._round, self._askers)
        self._askers = {}
        for peer in self._others:
            progress = self._progress[peer]
            if self._is_connected(peer):
                prev_index = max(progress.end_of_flight, self._storage.base_index)
                self._append(peer, progress, prev_index, (), self._next_round(progress))
        return question

    def _is_confirmed(self, after_round: int) -> bool:
        """Whether most voters followed this leader after that round; nobody else counts."""
        heard = sum(1 for peer in self._others if self._progress[peer].heard_round > after_round)
        return heard + self.votes >= quorum_size(self.voters)

    def _on_read_index_request(self, peer: Peer, message: raft_pb2.RaftMessage) -> None:
        """A follower's question; a newer one of the same follower stands for the older."""
        read_id = message.read_index_request.read_id
        if self.leads and peer in self._progress:
            self._askers[peer] = read_id
            self._reads_wait = True
        else:
            self._refuse_read(peer, read_id)

    def _refuse_read(self, peer: Peer, read_id: int) -> None:
        self._send(peer, read_index_response=raft_pb2.ReadIndexResponse(read_id=read_id, refused=True))

    # a follower

    def _ask_leader(self) -> None:
        """Ask, or ask again when no answer came."""
        if self._question is None:
            if not self._is_unasked():
                return
            self._question = Question(self._last_ticket)
        now_s = monotonic_s()
        if self._leader is not None and self._is_connected(self._leader) and now_s >= self._question.resend_at_s:
            request = raft_pb2.ReadIndexRequest(read_id=self._question.upto)
            sent = self._send(self._leader, read_index_request=request)
            self._question.resend_at_s = now_s + (self._settings.patience_s if sent else self._settings.retry_s)

    def _on_read_index_response(self, peer: Peer, message: raft_pb2.RaftMessage) -> None:
        """Only the newest question's number matches: no answer for an earlier run of this node, or an earlier read."""
        response, question = message.read_index_response, self._question
        if question is None or self.leads or response.read_id != question.upto:
            return
        if not response.refused:
            self._question = None
            self._answered_reads.append((response.index, question.upto))
        elif peer == self._leader:
            question.resend_at_s = monotonic_s() + self._settings.retry_s

    def _SyncObj__onNodeDisconnected(self, node: Peer) -> None:  # noqa: N802 - pysyncobj's name
        super()._SyncObj__onNodeDisconnected(node)
        self._askers.pop(node, None)
        if node == self._leader and self._question is not None:
            self._question.resend_at_s = 0.0

    def _read_deadline_s(self) -> float:
        """When a follower's question has to be repeated."""
        reachable = self._leader is not None and self._is_connected(self._leader)
        return self._question.resend_at_s if self._question is not None and reachable and not self.leads else NEVER_S
