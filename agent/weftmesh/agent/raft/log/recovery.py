"""Reads the segments back: replays every record, cuts a torn tail, refuses anything else that does not verify.

A bad record is a torn tail if it lies in the last segment and no record anywhere behind it claims that its place was
synced. Pages that were never synced may reach the disk in any order, so valid records behind a hole alone prove
nothing; they are cut with it. Everything below the highest claim must verify, or the log is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from mmap import mmap
from pathlib import Path
from typing import ClassVar

from weftmesh.agent.raft.log.contents import Contents, segment_contents
from weftmesh.agent.raft.log.entries import MEMORY_BYTES, HeldEntries
from weftmesh.agent.raft.log.format import (
    FORMAT,
    PIECE_BYTES,
    RECORD_HEADER_BYTES,
    SEGMENT_HEADER_BYTES,
    Kind,
    Record,
    SegmentHeader,
    find_records,
    is_blank,
    key_of,
    read_head,
    read_record,
    read_segment_header,
)
from weftmesh.agent.raft.log.segment import SUFFIX
from weftmesh.agent.raft.ports import Entry
from weftmesh.runtime.corruption import corrupted
from weftmesh.runtime.data_formats import check_format


class _Mismatch(Exception):  # noqa: N818 - becomes a DataCorruptionError where file and offset are known
    """A record verifies and yet cannot follow what was read before it."""


class Replay(HeldEntries):
    """The state that the records so far add up to.

    The oldest segment kept may begin in the middle of the log: until a COMPACT or RESET reaches the first entry in
    it, `anchor` (the base that was written down) lies below base_index, which then is only where the entries begin.
    """

    def __init__(self, directory: Path, memory_bytes: int = MEMORY_BYTES) -> None:
        super().__init__(directory, memory_bytes)
        self.sequence = 0
        """Of the segment that is being read."""
        self.term = 0
        self.vote = ""
        self.anchor_index = self.base_index
        self.started = False
        self.sealed = False
        self.crc = 0
        self.head_indexes: list[int] = []
        """last_index at the beginning of each segment that has a HEAD."""

    def apply(self, record: Record) -> None:
        """Take one verified record in.

        Raises:
            _Mismatch: it does not follow.
        """
        if self.started and record.previous != self.crc:
            raise _Mismatch("a valid record that does not follow the one before it")
        if (record.kind == Kind.HEAD) != (self.sealed or not self.started):
            raise _Mismatch(f"a record of kind {record.kind} where a segment has to begin or may not")
        try:
            self._HANDLERS[record.kind](self, record)
        except (KeyError, ValueError) as error:
            raise _Mismatch(f"a valid record of kind {record.kind} that does not fit: {error}") from error
        self.crc = record.crc

    def sealed_segments(self, count: int) -> bool:
        """Whether `count` segments are complete and nothing of the next one was read."""
        return self.sealed and len(self.head_indexes) == count

    def check_anchored(self) -> None:
        """Raise _Mismatch if entries between the base and the first one held are missing."""
        if self.anchor_index < self.base_index:
            raise _Mismatch(
                f"it begins with entry {self.base_index + 1}, the base of the log is {self.anchor_index}: "
                "older segments are missing"
            )

    def _entry(self, record: Record) -> None:
        if record.index != self.last_index + 1:
            raise ValueError(f"entry {record.index} after entry {self.last_index}")
        offset = record.end - len(record.payload) - RECORD_HEADER_BYTES
        self._hold([Entry(record.index, record.term, record.payload)], self.sequence, offset)

    def _hard_state(self, record: Record) -> None:
        self.term, self.vote = record.term, record.payload.decode()

    def _truncate(self, record: Record) -> None:
        if record.index > self.base_index:
            self._check_held(record.index)
            self._drop_from(record.index)
        elif record.index > self.anchor_index:
            self._drop_all(record.index - 1, 0)
        else:
            raise ValueError(f"truncation at {record.index}, the base is {self.anchor_index}")

    def _compact(self, record: Record) -> None:
        if record.index > self.base_index:
            self._check_held(record.index)
            if self.term_at(record.index) != record.term:
                raise ValueError(f"entry {record.index} is of term {self.term_at(record.index)}, not {record.term}")
            self._drop_to(record.index, record.term)
        elif record.index == self.base_index:
            self.base_term = record.term
        elif record.index < self.anchor_index:
            raise ValueError(f"compaction to {record.index}, the base is {self.anchor_index}")
        self.anchor_index = record.index

    def _reset(self, record: Record) -> None:
        self._drop_all(record.index, record.term)
        self.anchor_index = record.index

    def _head(self, record: Record) -> None:
        head = read_head(record.payload)
        if not self.started:
            self.anchor_index = record.index
            self.term, self.vote = head.term, head.vote
            self._drop_all(head.last_index, record.term if head.last_index == record.index else 0)
            self.started = True
        elif (record.index, *head) != (self.anchor_index, self.last_index, self.term, self.vote):
            raise ValueError("the segment does not begin where the one before it ended")
        self.sealed = False
        self.head_indexes.append(head.last_index)

    def _seal(self, _record: Record) -> None:
        self.sealed = True

    def _synced(self, _record: Record) -> None:
        pass

    _HANDLERS: ClassVar[Mapping[int, Callable[[Replay, Record], None]]] = {
        Kind.ENTRY: _entry,
        Kind.HARD_STATE: _hard_state,
        Kind.TRUNCATE: _truncate,
        Kind.COMPACT: _compact,
        Kind.RESET: _reset,
        Kind.HEAD: _head,
        Kind.SEAL: _seal,
        Kind.SYNCED: _synced,
    }


@dataclass(slots=True)
class SegmentFile:
    """A segment as found; its contents are read when they are needed."""

    path: Path
    header: SegmentHeader


@dataclass(slots=True)
class Recovered:
    """A log directory, read."""

    replay: Replay
    files: list[SegmentFile] = field(default_factory=list)
    """The last one is to be continued."""
    end: int = SEGMENT_HEADER_BYTES
    """Where to continue it."""
    clean: bool = True
    """Whether there are only zeroes from there on; otherwise they have to be written."""
    superfluous: Path | None = None
    """A segment that was made and not yet begun when the power went."""

    @property
    def headless(self) -> bool:
        """Whether the segment to continue, also when it has yet to be made, still needs its HEAD."""
        return len(self.replay.head_indexes) < max(len(self.files), 1)


def recover(directory: Path, memory_bytes: int = MEMORY_BYTES) -> Recovered:
    """Read all segments of `directory`, and hold the payloads of the newest entries, `memory_bytes` of them.

    Raises:
        DataCorruptionError: something synced does not verify, or a segment is missing.
        PreconditionError: the format is a later one.
    """
    files = _inspect(directory)
    recovered = Recovered(Replay(directory, memory_bytes), files)
    last_is_blank = len(files) > 1 and _is_blank_file(files[-1])
    for position, file in enumerate(files):
        if position == len(files) - 1 and last_is_blank:
            if not recovered.replay.sealed_segments(position):  # the crash came before the SEAL was durable
                recovered.superfluous = files.pop().path
            else:
                recovered.end, recovered.clean = SEGMENT_HEADER_BYTES, True
            break
        next_is_blank = position == len(files) - 2 and last_is_blank
        _replay_file(recovered, file, is_tail=position == len(files) - 1 or next_is_blank)
    _check_complete(recovered)
    return recovered


def _inspect(directory: Path) -> list[SegmentFile]:
    files: list[SegmentFile] = []
    for path in sorted(directory.glob(f"*{SUFFIX}")):
        with path.open("rb") as stream:
            header = read_segment_header(stream.read(SEGMENT_HEADER_BYTES))
        if header is None or f"{header.sequence:016x}" != path.name.removesuffix(SUFFIX):
            raise corrupted(path, 0, "no valid segment header for a file of this name")
        if header.format != FORMAT:
            check_format(path, header.format, FORMAT)
            raise corrupted(path, 0, f"format {header.format}, which no build wrote")
        if files and header.sequence != files[-1].header.sequence + 1:
            raise corrupted(path, 0, f"the segment before it is missing, {files[-1].path.name} is the last one there")
        files.append(SegmentFile(path, header))
    return files


def _is_blank_file(file: SegmentFile) -> bool:
    with file.path.open("rb", buffering=0) as stream:
        stream.seek(SEGMENT_HEADER_BYTES)
        return all(is_blank(piece, 0) for piece in iter(lambda: stream.read(PIECE_BYTES), b""))


def _replay_file(recovered: Recovered, file: SegmentFile, *, is_tail: bool) -> None:
    with segment_contents(file.path) as contents:
        _replay(recovered, file, contents, is_tail=is_tail)


def _replay(recovered: Recovered, file: SegmentFile, contents: Contents, *, is_tail: bool) -> None:
    data = contents.data
    key = key_of(file.header.salt)
    replay = recovered.replay
    replay.sequence = file.header.sequence
    offset = SEGMENT_HEADER_BYTES
    while not (replay.sealed and offset > SEGMENT_HEADER_BYTES):
        record = read_record(data, offset, key)
        if record is None:
            break
        try:
            replay.apply(record)
        except _Mismatch as mismatch:
            raise corrupted(file.path, offset, str(mismatch)) from mismatch
        offset = record.end
    clean = is_blank(data, offset, contents.written_bytes)
    if not replay.sealed or not clean or offset == SEGMENT_HEADER_BYTES:
        _check_torn(file, data, offset, clean=clean, is_tail=is_tail)
    recovered.end, recovered.clean = offset, clean


def _check_torn(file: SegmentFile, data: mmap, offset: int, *, clean: bool, is_tail: bool) -> None:
    found = "zeroes" if is_blank(data[: offset + 8], offset) else "a record that does not verify"
    if not is_tail:
        raise corrupted(file.path, offset, f"{found}, though a later segment follows")
    if clean:
        return
    claim = max((record.durable for record in find_records(data, offset, key_of(file.header.salt))), default=0)
    if claim > offset:
        raise corrupted(file.path, offset, f"{found}, though everything up to byte {claim} had been synced")


def _check_complete(recovered: Recovered) -> None:
    files, replay = recovered.files, recovered.replay
    if not files:
        return
    if replay.sealed_segments(len(files)):
        raise corrupted(files[-1].path, recovered.end, "a seal, though the segment that has to follow is missing")
    if not replay.started and (len(files) > 1 or files[0].header.sequence != 1):
        raise corrupted(files[0].path, SEGMENT_HEADER_BYTES, "no record in the oldest segment")
    try:
        replay.check_anchored()
    except _Mismatch as mismatch:
        raise corrupted(files[0].path, SEGMENT_HEADER_BYTES, str(mismatch)) from mismatch
