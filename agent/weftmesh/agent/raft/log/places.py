"""Where each entry of the log lies on disk: 24 bytes an entry, and the reading back of entries by their places."""

from __future__ import annotations

import os
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from weftmesh.agent.raft.log.format import (
    RECORD_HEADER_BYTES,
    SEGMENT_HEADER_BYTES,
    Kind,
    key_of,
    read_record,
    read_segment_header,
)
from weftmesh.agent.raft.log.segment import segment_path
from weftmesh.agent.raft.ports import Entry
from weftmesh.runtime.corruption import corrupted


class Place(NamedTuple):
    """One entry's record."""

    term: int
    sequence: int
    """Of its segment."""
    offset: int
    """Of the record in it."""
    size_bytes: int
    """Of the payload."""

    @property
    def end(self) -> int:
        """Offset behind the record."""
        return self.offset + RECORD_HEADER_BYTES + self.size_bytes


class Places:
    """A row of places, in columns."""

    def __init__(self) -> None:
        self.terms = array("Q")
        self.sizes_bytes = array("I")
        self._sequences = array("Q")
        self._offsets = array("I")

    def __len__(self) -> int:
        return len(self.terms)

    def __getitem__(self, position: int) -> Place:
        return Place(
            self.terms[position], self._sequences[position], self._offsets[position], self.sizes_bytes[position]
        )

    def append(self, place: Place) -> None:
        """Add one behind the last."""
        self.terms.append(place.term)
        self._sequences.append(place.sequence)
        self._offsets.append(place.offset)
        self.sizes_bytes.append(place.size_bytes)

    def drop(self, positions: slice) -> None:
        """Remove some at either end."""
        for column in (self.terms, self._sequences, self._offsets, self.sizes_bytes):
            del column[positions]

    def run(self, first: int, end: int, limit_bytes: int) -> list[Place]:
        """Those from `first` on, at least one and none at `end`, that one read of about `limit_bytes` takes in."""
        run = [self[first]]
        for position in range(first + 1, end):
            place = self[position]
            if place.sequence != run[0].sequence or place.end - run[0].offset > limit_bytes:
                break
            run.append(place)
        return run


def read_back(directory: Path, first_index: int, run: Sequence[Place]) -> list[Entry]:
    """Read the entries from `first_index` on, whose places are a run in one segment, with one read.

    Raises:
        DataCorruptionError: the file is gone, or a record in it is not the one that was written.
        OSError: the file cannot be read.
    """
    path = segment_path(directory, run[0].sequence)
    start = run[0].offset
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise corrupted(path, start, f"the segment is gone, entry {first_index} is in it") from None
    try:
        header = read_segment_header(os.pread(fd, SEGMENT_HEADER_BYTES, 0))
        data = os.pread(fd, run[-1].end - start, start)
    finally:
        os.close(fd)
    if header is None or header.sequence != run[0].sequence:
        raise corrupted(path, 0, "the segment header no longer verifies")
    key = key_of(header.salt)
    entries = []
    for index, place in enumerate(run, first_index):
        record = read_record(data, place.offset - start, key)
        if record is None or (record.kind, record.index, record.term) != (Kind.ENTRY, index, place.term):
            raise corrupted(path, place.offset, f"entry {index}, which was written there, no longer verifies")
        entries.append(Entry(index, place.term, record.payload))
    return entries
