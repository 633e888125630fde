"""The log storage in the shape that pysyncobj expects of its journal.

pysyncobj addresses entries by position and wants at least one; position 0 is the base, the last entry that a
snapshot covers, shown as an entry without effect.
"""

from __future__ import annotations

from typing import NoReturn, overload

from weftmesh.agent.raft.core.pin import NO_OP, REGULAR, Journal
from weftmesh.agent.raft.ports import Entry, LogStorage

Item = tuple[bytes, int, int]
"""Payload, index and term, in pysyncobj's order."""


class StorageJournal(Journal):  # type: ignore[misc]  # pysyncobj has no annotations
    """A view of a LogStorage; keeps nothing of its own."""

    def __init__(self, storage: LogStorage) -> None:
        self._storage = storage

    def add(self, command: bytes, idx: int, term: int) -> None:
        """Append a command as pysyncobj frames it: a type byte, then the payload. No-ops have an empty payload."""
        if command[:1] not in (NO_OP, REGULAR):
            raise ValueError(f"a command of type {command[:1]!r} has no place in this log")
        self._storage.append([Entry(idx, term, command[1:])])

    def deleteEntriesFrom(self, entryFrom: int) -> None:  # noqa: N802, N803 - pysyncobj's names
        """Drop the entries at this position and after it."""
        self._storage.truncate_from(self._storage.base_index + entryFrom)

    def deleteEntriesTo(self, entryTo: int) -> None:  # noqa: N802, N803
        """Make the entry at this position the base."""
        self._storage.compact_to(self._storage.base_index + entryTo)

    def clear(self) -> NoReturn:
        """Never: the log is only ever reset to a durable snapshot, by its own method of LogStorage."""
        raise NotImplementedError("the log is reset only together with a snapshot")

    def __len__(self) -> int:
        return self._storage.last_index - self._storage.base_index + 1

    @overload
    def __getitem__(self, item: int) -> Item: ...
    @overload
    def __getitem__(self, item: slice) -> list[Item]: ...
    def __getitem__(self, item: int | slice) -> Item | list[Item]:
        if isinstance(item, slice):
            return [self._at(position) for position in range(*item.indices(len(self)))]
        return self._at(item if item >= 0 else len(self) + item)

    def _at(self, position: int) -> Item:
        storage = self._storage
        index = storage.base_index + position
        if position == 0:
            return b"", index, storage.base_term
        entry = storage.entry(index)
        return entry.payload, entry.index, entry.term

    def setCurrentTerm(self, term: int, votedForNodeId: str | None) -> None:  # noqa: N802, N803
        """Durable when it returns."""
        vote = votedForNodeId or ""
        if (term, vote) != (self._storage.term, self._storage.vote):
            self._storage.set_hard_state(term, vote)

    def getCurrentTerm(self) -> int:  # noqa: N802
        """The term last set."""
        return self._storage.term

    def getVotedForNodeId(self) -> str | None:  # noqa: N802
        """Who got this node's vote in that term."""
        return self._storage.vote or None

    def setRaftCommitIndex(self, raftCommitIndex: int) -> None:  # noqa: N802, N803
        """Not kept: what is committed is learnt again from the leader, so a cut log cannot contradict it."""

    def getRaftCommitIndex(self) -> int:  # noqa: N802
        """What is certainly committed: everything the base covers."""
        return self._storage.base_index

    def _destroy(self) -> None:
        """The storage belongs to the engine, which closes it."""
