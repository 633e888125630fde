"""Where a chain goes on when a node starts: behind its last record, behind what a crash cut short, or at a break.

Two things tell what was acknowledged: the note that the chain writes after every sync and before it answers, which
outlives the process; and `durable_sequence` in the records, which outlives a power cut. What lies behind all that was
acknowledged and does not verify is cut off. Anything else that does not verify is a break: the file stays as it is, and
a new one begins with a record that names the break. Nothing is written here.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from zlib import crc32

from weftmesh.agent.chain.reading import ContentT, Form, Part, is_sealed, read_part, size_of
from weftmesh.core.hash_chain import GENESIS, Head, mismatch

NOTE_NAME: Final = "acknowledged"
_NOTE: Final = struct.Struct(">Q32s")
_SUM: Final = struct.Struct(">I")
NOTE_BYTES: Final = _NOTE.size + _SUM.size


@dataclass(frozen=True, slots=True)
class Resumption:
    """How the chain goes on.

    Attributes:
        head: the last record that can be read.
        next_sequence: of the record that is written next.
        path: the file it goes to.
        end_bytes: where in it.
        broken: what is lost or damaged, where a break has to be named first; empty where all is well.
    """

    head: Head
    next_sequence: int
    path: Path
    end_bytes: int
    broken: str = ""

    @property
    def cut_bytes(self) -> int:
        """What a crash left behind the end, and nobody was told of."""
        return 0 if self.broken else max(size_of(self.path) - self.end_bytes, 0)


@dataclass(slots=True)
class _Scan:
    """What one file holds."""

    path: Path
    good: Head = GENESIS
    """The last record before anything that does not fit."""
    good_end_bytes: int = 0
    last: Head = GENESIS
    """The last record that can be read at all."""
    highest_sequence: int = 0
    durable_sequence: int = 0
    found: str = ""
    """What does not fit first; empty where everything does."""


def resume(directory: Path, form: Form[ContentT], noted: Head | None) -> Resumption:
    """How the chain in `directory` goes on, by what is there and by the note of what was acknowledged, if any.

    Raises:
        OSError: the directory cannot be read.
    """
    paths = form.paths(directory)
    newest = paths[-1] if paths else directory / form.file_name(1)
    scan = _Scan(newest)
    for path in reversed(paths):
        scan = _scan(path, form, noted)
        if scan.highest_sequence:
            break
    known_sequence = max(noted.sequence if noted else 0, scan.durable_sequence)
    sealed = is_sealed(newest)
    broken = _broken(scan, known_sequence, newest, sealed=sealed)
    if broken:
        following = max(known_sequence, scan.highest_sequence) + 1
        return Resumption(scan.last, following, directory / form.file_name(following), 0, broken)
    following = scan.good.sequence + 1
    if sealed:
        return Resumption(scan.good, following, directory / form.file_name(following), 0)
    return Resumption(scan.good, following, newest, scan.good_end_bytes if scan.path == newest else 0)


def _scan(path: Path, form: Form[ContentT], noted: Head | None) -> _Scan:
    scan = _Scan(path)
    for piece in read_part(Part(path, size_of(path)), form.codec):
        problem = piece.found
        if piece.record is not None:
            # The first one follows a record of the file before, which only a verification reads.
            problem = mismatch(scan.last, piece.record) if scan.highest_sequence else ""
            scan.last = piece.head
            if noted is not None and scan.last.sequence == noted.sequence and scan.last != noted:
                problem = f"record {noted.sequence} is not the one that was acknowledged"
                scan.durable_sequence = max(scan.durable_sequence, noted.sequence)
            scan.highest_sequence = max(scan.highest_sequence, scan.last.sequence)
            scan.durable_sequence = max(scan.durable_sequence, piece.record.durable_sequence)
        if problem and not scan.found:
            scan.found = f"at byte {piece.offset_bytes}: {problem}"
        if not scan.found:
            scan.good, scan.good_end_bytes = scan.last, piece.end_bytes
    return scan


def _broken(scan: _Scan, known_sequence: int, newest: Path, *, sealed: bool) -> str:
    """Why the chain cannot simply go on; empty when it can."""
    found = f"{scan.path.name}: {scan.found}" if scan.found else ""
    if scan.good.sequence < known_sequence:
        missing = "it is gone or ends too early" if scan.path == newest else "it holds no record that can be read"
        lost = f"records {scan.good.sequence + 1} to {known_sequence} were acknowledged and are not all as they were"
        return f"{found or f'{newest.name}: {missing}'}; {lost}"
    # Only what was being written can have been cut short by a crash.
    return found if sealed or scan.path != newest else ""


def pack_note(head: Head) -> bytes:
    """The note of what was acknowledged."""
    fields = _NOTE.pack(head.sequence, head.hash)
    return fields + _SUM.pack(crc32(fields))


def read_note(path: Path) -> Head | None:
    """The note in a file; None if there is none that verifies.

    Raises:
        OSError: the file is there and cannot be read.
    """
    try:
        data = path.read_bytes()[:NOTE_BYTES]
    except FileNotFoundError:
        return None
    if len(data) < NOTE_BYTES or _SUM.unpack_from(data, _NOTE.size)[0] != crc32(data[: _NOTE.size]):
        return None
    return Head(*_NOTE.unpack_from(data))
