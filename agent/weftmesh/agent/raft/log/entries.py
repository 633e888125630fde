"""The entries of the log behind a base: the places of all of them on disk, the payloads of only the newest in memory.

Older entries are read back when somebody lags that far behind: what the log costs does not depend on its length.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from pathlib import Path

from weftmesh.agent.raft.log.places import Place, Places, read_back
from weftmesh.agent.raft.ports import Entry

FIRST_BASE_INDEX = 1
FIRST_BASE_TERM = 0
"""Entry 1 of term 0 exists on every node by convention; a new log begins behind it."""
MEMORY_BYTES = 2 << 20
"""Payloads of the newest entries: some messages to a peer, and what is applied next."""
MEMORY_ENTRIES = 4096
READ_BYTES = 256 << 10
"""One read takes in neighbours up to this size."""


class HeldEntries:
    """Entries base_index + 1 to last_index, without gaps."""

    def __init__(self, directory: Path, memory_bytes: int = MEMORY_BYTES) -> None:
        self.base_index = FIRST_BASE_INDEX
        self.base_term = FIRST_BASE_TERM
        self.last_index = FIRST_BASE_INDEX
        self._directory = directory
        self._memory_bytes = memory_bytes
        self._places = Places()
        self._newest: deque[Entry] = deque()
        """The last ones, up to last_index."""
        self._newest_bytes = 0
        self._read_ahead: list[Entry] = []
        """What the last read for `entry` brought: its caller goes on with the next one."""

    def entry(self, index: int) -> Entry:
        """The entry at `index`, base_index < index <= last_index.

        Raises:
            DataCorruptionError: it was read back from disk and does not verify.
        """
        if not self.base_index < index <= self.last_index:
            raise IndexError(f"entry {index} is not held; held are {self.base_index + 1} to {self.last_index}")
        if index >= self._first_in_memory:
            return self._newest[index - self._first_in_memory]
        ahead = self._read_ahead
        if not (ahead and ahead[0].index <= index <= ahead[-1].index):
            ahead = self._read_ahead = self._read(index, self._first_in_memory)
        return ahead[index - ahead[0].index]

    def term_at(self, index: int) -> int | None:
        """The term of the entry at `index`, the base included; None outside of what is held."""
        if index == self.base_index:
            return self.base_term
        if self.base_index < index <= self.last_index:
            return self._places.terms[index - self.base_index - 1]
        return None

    def size_at(self, index: int) -> int:
        """The bytes of the payload at `index`, base_index < index <= last_index."""
        self._check_held(index)
        return self._places.sizes_bytes[index - self.base_index - 1]

    def entries_from(self, index: int, limit_bytes: int) -> list[Entry]:
        """Entries from `index` on, at least one if there is one, together at most about `limit_bytes`.

        Raises:
            DataCorruptionError: one was read back from disk and does not verify.
        """
        if index <= self.base_index:
            raise IndexError(f"entry {index} is compacted; the base is {self.base_index}")
        end = self._end_within(index, limit_bytes)
        entries: list[Entry] = []
        while index < min(end, self._first_in_memory):
            entries += self._read(index, min(end, self._first_in_memory))
            index = entries[-1].index + 1
        entries += [self._newest[at - self._first_in_memory] for at in range(index, end)]
        return entries

    @property
    def _first_in_memory(self) -> int:
        return self.last_index + 1 - len(self._newest)

    def _end_within(self, index: int, limit_bytes: int) -> int:
        """The index behind the last entry that `limit_bytes` from `index` on take in."""
        sizes_bytes = self._places.sizes_bytes
        size_bytes = 0
        end = index
        while end <= self.last_index:
            size_bytes += sizes_bytes[end - self.base_index - 1]
            if size_bytes > limit_bytes and end > index:
                break
            end += 1
        return end

    def _read(self, index: int, end: int) -> list[Entry]:
        first = self.base_index + 1
        return read_back(self._directory, index, self._places.run(index - first, end - first, READ_BYTES))

    def _hold(self, entries: Sequence[Entry], sequence: int, offset: int) -> None:
        """Take in entries that lie one behind the other, from `offset` of segment `sequence` on."""
        for entry in entries:
            place = Place(entry.term, sequence, offset, len(entry.payload))
            self._places.append(place)
            offset = place.end
            self._newest.append(entry)
            self._newest_bytes += place.size_bytes
        self.last_index += len(entries)
        while self._newest_bytes > self._memory_bytes or len(self._newest) > MEMORY_ENTRIES:
            self._newest_bytes -= len(self._newest.popleft().payload)

    def _drop_from(self, index: int) -> None:
        self._places.drop(slice(index - self.base_index - 1, None))
        while self._newest and self._newest[-1].index >= index:
            self._newest_bytes -= len(self._newest.pop().payload)
        self._read_ahead = []
        self.last_index = index - 1

    def _drop_to(self, index: int, term: int) -> None:
        self._places.drop(slice(index - self.base_index))
        while self._newest and self._newest[0].index <= index:
            self._newest_bytes -= len(self._newest.popleft().payload)
        self._read_ahead = []
        self.base_index, self.base_term = index, term

    def _drop_all(self, index: int, term: int) -> None:
        self._places = Places()
        self._newest.clear()
        self._newest_bytes = 0
        self._read_ahead = []
        self.base_index, self.base_term, self.last_index = index, term, index

    def _take_over(self, other: HeldEntries) -> None:
        """Go on with what `other` holds; it must not be used any more."""
        self.base_index, self.base_term, self.last_index = other.base_index, other.base_term, other.last_index
        self._places, self._newest, self._newest_bytes = other._places, other._newest, other._newest_bytes

    def _check_follows(self, entries: Sequence[Entry]) -> None:
        expected = self.last_index
        for entry in entries:
            expected += 1
            if entry.index != expected:
                raise ValueError(f"entry {entry.index} does not follow {expected - 1}")

    def _check_held(self, index: int) -> None:
        if not self.base_index < index <= self.last_index:
            raise ValueError(f"index {index} is not held; held are {self.base_index + 1} to {self.last_index}")
