"""The verification of a chain: every record is read again, and everything that does not hang together is told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Generic

from weftmesh.agent.chain.appending import Snapshot
from weftmesh.agent.chain.reading import ContentT, Form, Piece, read_parts
from weftmesh.core.hash_chain import GENESIS, Break, Head, Pruned, Record, mismatch

FINDINGS_MAX: Final = 100
"""That are told; further ones are counted."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that does not fit.

    Attributes:
        file: its name; empty where no file is at fault alone.
        offset_bytes: where in it.
        sequence: of the record concerned, or of the one behind the last whole record.
        found: in words.
    """

    file: str
    offset_bytes: int
    sequence: int
    found: str


@dataclass(slots=True)
class Verification(Generic[ContentT]):
    """What a verification found so far.

    Attributes:
        form: of the chain.
        snapshot: what is read.
        first_sequence: of the first record that is kept; 0 before one was read.
        anchor: what was noted earlier; None if nothing is looked for.
        head: the last record that was read.
        anchor_found: whether the anchor is one of the records.
    """

    form: Form[ContentT]
    snapshot: Snapshot
    anchor: Head | None = None
    head: Head = GENESIS
    records: int = 0
    findings: list[Finding] = field(default_factory=list)
    findings_count: int = 0
    anchor_found: bool = False
    first_sequence: int = 0
    _unread: bool = False
    _begins_behind: Head = GENESIS
    _pruned: Head = GENESIS

    @property
    def passed(self) -> bool:
        """Whether nothing was found."""
        return not self.findings_count

    def run(self) -> Iterator[None]:
        """Read everything, one piece at each step; it is complete when the iterator ends."""
        self.anchor_found = self.anchor == GENESIS
        at_anchor: Head | None = None
        for piece in read_parts(self.snapshot.parts, self.form.codec):
            self._look_at(piece)
            if self.anchor is not None and piece.record is not None and self.head.sequence == self.anchor.sequence:
                at_anchor = self.head
                self.anchor_found = self.anchor_found or self.head == self.anchor
            yield
        self._look_at_end()
        if self.anchor is not None and not self.anchor_found:
            self._find("", 0, self.anchor.sequence, _without(self.form.name, self.anchor, at_anchor))

    def _look_at(self, piece: Piece[ContentT]) -> None:
        if piece.record is None:
            self._unread = True
            self._find(piece.path.name, piece.offset_bytes, self.head.sequence + 1, piece.found)
            return
        self.records += 1
        if not self.first_sequence:
            self._begin(piece.record)
        if isinstance(piece.record.content, Pruned):
            self._pruned = piece.record.content.upto
        before, self.head = self.head, piece.head
        # What could not be read has been told already; the records that it leaves out are no second finding.
        told = self._unread and self.head.sequence > before.sequence
        problem = "" if told else mismatch(before, piece.record)
        self._unread = False
        if isinstance(piece.record.content, Break):
            reason = f"the node found its {self.form.name} damaged and went on here: {piece.record.content.why}"
            problem = f"{problem}; {reason}" if problem else reason
        if problem:
            self._find(piece.path.name, piece.offset_bytes, self.head.sequence, problem)

    def _begin(self, first: Record[ContentT]) -> None:
        """Take the first record that is kept: others may have been before it, and then the chain has to say so."""
        self.first_sequence = first.sequence
        if first.sequence > 1 and not self.findings_count:
            self.head = self._begins_behind = Head(first.sequence - 1, first.previous)

    def _look_at_end(self) -> None:
        begin, pruned = self._begins_behind, self._pruned
        if begin.sequence > pruned.sequence or (begin.sequence == pruned.sequence and begin != pruned):
            told = f"lets go of records up to {pruned.sequence}" if pruned.sequence else "never let go of a record"
            self._find("", 0, 1, f"records 1 to {begin.sequence} are gone, and the {self.form.name} {told}")
        if self.snapshot.broken:
            self._find("", 0, self.head.sequence + 1, f"the node found this when it started: {self.snapshot.broken}")
        if self.head != self.snapshot.head:
            expected = self.snapshot.head.sequence
            found = f"the {self.form.name} ends in record {self.head.sequence}; the node wrote record {expected} last"
            self._find("", 0, expected, found if expected != self.head.sequence else f"{found}, with another hash")

    def _find(self, file: str, offset_bytes: int, sequence: int, found: str) -> None:
        self.findings_count += 1
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(Finding(file, offset_bytes, sequence, found))


def _without(name: str, anchor: Head, instead: Head | None) -> str:
    if instead is None:
        return f"record {anchor.sequence}, which was noted as an anchor, is not in the {name}"
    return (
        f"record {anchor.sequence} is not the one that was noted as an anchor: its hash is {instead.hash.hex()}; "
        "something up to it was changed, or the anchor is of another node"
    )
