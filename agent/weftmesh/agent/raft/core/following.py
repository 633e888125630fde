"""A follower's side of replication: what it takes into its log, and what it takes for committed."""

from __future__ import annotations

from weftmesh.agent.raft.core.codec import ProtocolError, from_log_entries, parse_payload
from weftmesh.agent.raft.core.fencing import check_level, configuration_in
from weftmesh.agent.raft.core.installing import Installing
from weftmesh.agent.raft.core.stock import Peer
from weftmesh.agent.raft.ports import Entry
from weftmesh.mesh.v1 import raft_pb2


class Following(Installing):
    """Replaces the whole of pysyncobj's handling of append_entries."""

    def _on_append_entries(self, leader: Peer, message: raft_pb2.RaftMessage) -> None:
        append = message.append_entries
        if message.term < self._term:
            self._refuse(leader, append, append.prev_index)
            return
        self._follow(leader, message.term)
        if leader.name not in self.voters and append.leader_address:
            self._learn_leader(leader.name, append.leader_address)
        if not self._matches(append):
            self._refuse(leader, append, self._hint(append.prev_index))
            return
        self._take(from_log_entries(append.entries))
        proven = append.prev_index + len(append.entries)
        self._commit_proven(append, proven)
        if append.entries:
            self._acknowledge(leader, proven, append.round)
        elif append.round:
            # what only announces a commit asks for no answer: a message costs more than all that it carries
            self._answer_heartbeat(leader, proven, append.round)

    def _refuse(self, leader: Peer, append: raft_pb2.AppendEntries, hint_index: int) -> None:
        response = raft_pb2.AppendResponse(prev_index=append.prev_index, hint_index=hint_index, round=append.round)
        self._send(leader, append_response=response)

    def _matches(self, append: raft_pb2.AppendEntries) -> bool:
        """Whether the entry before the new ones is the leader's; what a snapshot covers is committed, so it is."""
        if append.prev_index < self._storage.base_index:
            return True
        return self._storage.term_at(append.prev_index) == append.prev_term

    def _hint(self, prev_index: int) -> int:
        """The last entry that may still equal the leader's: before all those of the term that did not match."""
        storage = self._storage
        if prev_index > storage.last_index:
            return storage.last_index
        term, index = storage.term_at(prev_index), prev_index - 1
        while index > self._commit and storage.term_at(index) == term:
            index -= 1
        return max(index, self._commit)

    def _take(self, entries: list[Entry]) -> None:
        """Truncate on a conflict only: entries that are here already may have been acknowledged."""
        storage = self._storage
        known = 0
        while known < len(entries) and self._has(entries[known]):
            known += 1
        new = entries[known:]
        if not new:
            return
        payloads = [(entry.index, parse_payload(entry.payload)) for entry in new]
        for index, payload in payloads:
            check_level(
                payload, index
            )  # ends the engine: what follows is not for this build, and nothing of it is taken
        truncated = new[0].index <= storage.last_index and self._truncate(new[0].index)
        storage.append(new)
        if self._push_configurations(payloads) or truncated:
            self._configuration_changed()

    def _has(self, entry: Entry) -> bool:
        return entry.index <= self._storage.base_index or self._storage.term_at(entry.index) == entry.term

    def _truncate(self, index: int) -> bool:
        """Drop entries that the leader does not have; returns whether that changed the voters."""
        if index <= self._commit:
            raise ProtocolError(f"a leader contradicts entry {index}, and {self._commit} is committed here")
        self._storage.truncate_from(index)
        self._parts.proposals.truncated(index)
        return self._configurations.truncate_from(index)

    def _push_configurations(self, payloads: list[tuple[int, raft_pb2.LogPayload]]) -> bool:
        pushed = False
        for index, payload in payloads:
            configuration = configuration_in(payload)
            if configuration is not None:
                self._configurations.push(index, configuration)
                pushed = True
        return pushed

    def _commit_proven(self, append: raft_pb2.AppendEntries, proven: int) -> None:
        """Commit only what this message proved to be the leader's; the tail behind it may be anybody's."""
        complete = append.commit_index <= proven
        self._commit_to(min(append.commit_index, proven), append.commit_time_us if complete else 0)
