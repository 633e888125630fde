"""Nothing counts, here or at a peer, before it is on disk: the hazards of durability."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from weftmesh.agent.raft.core.campaigning import Campaigning
from weftmesh.agent.raft.core.journal import Item
from weftmesh.agent.raft.core.membership import quorum_size
from weftmesh.agent.raft.core.stock import CoreParts, Peer, peer_of
from weftmesh.mesh.v1 import raft_pb2

HELD_LIMIT = 1024
"""Acknowledgements waiting for the disk; the oldest are dropped, as if lost, and the leader asks again."""


@dataclass(frozen=True, slots=True)
class HeldAcknowledgement:
    """May leave once the storage's durable mark has reached `mark`, if the term is still the same."""

    mark: int
    peer: Peer
    term: int
    match_index: int
    round: int


class Durability(Campaigning):
    """Acknowledgements wait for the disk, and so does a leader's own copy."""

    def __init__(self, parts: CoreParts) -> None:
        self._held: deque[HeldAcknowledgement] = deque(maxlen=HELD_LIMIT)
        self._committable = 0
        super().__init__(parts)

    def _acknowledge(self, leader: Peer, match_index: int, round_: int = 0) -> None:
        """Promise that everything up to `match_index` is as the leader's and durable; keep the promise until it is."""
        if match_index <= self._storage.durable_index:
            self._send_acknowledgement(leader, match_index, round_)
        elif not self._promised(leader, match_index):
            held = HeldAcknowledgement(self._storage.written_mark, leader, self._term, match_index, round_)
            self._held.append(held)

    def _answer_heartbeat(self, leader: Peer, match_index: int, round_: int) -> None:
        """Say at once that this node follows, with what is durable by now; the rest is promised."""
        durable = min(match_index, self._storage.durable_index)
        if match_index > durable:
            self._acknowledge(leader, match_index)
        self._send_acknowledgement(leader, durable, round_)

    def _promised(self, leader: Peer, match_index: int) -> bool:
        """Whether the newest acknowledgement that waits says the same."""
        if not self._held:
            return False
        newest = self._held[-1]
        return (newest.peer, newest.term, newest.match_index) == (leader, self._term, match_index)

    def _send_acknowledgement(self, leader: Peer, match_index: int, round_: int) -> None:
        response = raft_pb2.AppendResponse(accepted=True, match_index=match_index, round=round_)
        self._send(leader, append_response=response)

    def release_acknowledgements(self) -> None:
        """After a sync."""
        while self._held and self._held[0].mark <= self._storage.durable_mark:
            held = self._held.popleft()
            if held.term == self._term:
                self._send_acknowledgement(held.peer, held.match_index, held.round)

    def _durable_at(self, name: str) -> int:
        if name == self._parts.name:
            return self._storage.durable_index
        return self._match.get(peer_of(name), 0)

    def _quorum_index(self) -> int:
        """The last entry that is durable on a majority of the configuration in effect.

        This node counts only if it votes, and only with what it has synced.
        """
        indexes = sorted((self._durable_at(name) for name in self.voters), reverse=True)
        return indexes[quorum_size(self.voters) - 1] if indexes else 0

    def _mark_committable(self) -> None:
        """Before pysyncobj counts: it takes its own copy for durable and itself for a voter."""
        self._committable = max(self._commit, self._quorum_index() if self.leads else 0)

    def _SyncObj__getEntries(  # noqa: N802 - pysyncobj's names
        self,
        fromIDx: int,  # noqa: N803
        count: int,
        maxSizeBytes: int | None = None,  # noqa: ARG002, N803
    ) -> list[Item]:
        """What pysyncobj sees of the log when it looks for entries to commit or to apply.

        Its commit loop passes over an index without an entry, so what is not durable on a majority is hidden from
        it; its apply loop gets as many entries as one tick may apply.
        """
        storage, settings = self._storage, self._settings
        last = min(fromIDx + min(count, settings.apply_limit) - 1, self._committable, storage.last_index)
        items: list[Item] = []
        left_bytes = settings.apply_limit_bytes
        for index in range(fromIDx, last + 1):
            left_bytes -= storage.size_at(index)
            if left_bytes < 0 and items:
                break
            entry = storage.entry(index)
            items.append((entry.payload, index, entry.term))
        return items
