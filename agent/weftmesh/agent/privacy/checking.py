"""The verification of the ledger: every record is read again, and everything that does not hang together is told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from weftmesh.agent.privacy.ledger import Snapshot
from weftmesh.agent.privacy.reading import Piece, read_parts
from weftmesh.core.privacy.chain import GENESIS, Break, Head, mismatch

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
class Verification:
    """What a verification found so far.

    Attributes:
        anchor: what was noted earlier; None if nothing is looked for.
        head: the last record that was read.
        anchor_found: whether the anchor is one of the records.
    """

    snapshot: Snapshot
    anchor: Head | None = None
    head: Head = GENESIS
    records: int = 0
    findings: list[Finding] = field(default_factory=list)
    findings_count: int = 0
    anchor_found: bool = False
    _unread: bool = False

    @property
    def passed(self) -> bool:
        """Whether nothing was found."""
        return not self.findings_count

    def run(self) -> Iterator[None]:
        """Read everything, one piece at each step; it is complete when the iterator ends."""
        self.anchor_found = self.anchor == GENESIS
        at_anchor: Head | None = None
        for piece in read_parts(self.snapshot.parts):
            self._look_at(piece)
            if self.anchor is not None and piece.record is not None and self.head.sequence == self.anchor.sequence:
                at_anchor = self.head
                self.anchor_found = self.anchor_found or self.head == self.anchor
            yield
        self._look_at_end()
        if self.anchor is not None and not self.anchor_found:
            self._find("", 0, self.anchor.sequence, _without(self.anchor, at_anchor))

    def _look_at(self, piece: Piece) -> None:
        if piece.record is None:
            self._unread = True
            self._find(piece.path.name, piece.offset_bytes, self.head.sequence + 1, piece.found)
            return
        self.records += 1
        before, self.head = self.head, piece.head
        # What could not be read has been told already; the records that it leaves out are no second finding.
        told = self._unread and self.head.sequence > before.sequence
        problem = "" if told else mismatch(before, piece.record)
        self._unread = False
        if isinstance(piece.record.content, Break):
            reason = f"the node found its ledger damaged and went on here: {piece.record.content.why}"
            problem = f"{problem}; {reason}" if problem else reason
        if problem:
            self._find(piece.path.name, piece.offset_bytes, self.head.sequence, problem)

    def _look_at_end(self) -> None:
        if self.snapshot.broken:
            self._find("", 0, self.head.sequence + 1, f"the node found this when it started: {self.snapshot.broken}")
        if self.head != self.snapshot.head:
            expected = self.snapshot.head.sequence
            found = f"the ledger ends in record {self.head.sequence}; the node wrote record {expected} last"
            self._find("", 0, expected, found if expected != self.head.sequence else f"{found}, with another hash")

    def _find(self, file: str, offset_bytes: int, sequence: int, found: str) -> None:
        self.findings_count += 1
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(Finding(file, offset_bytes, sequence, found))


def _without(anchor: Head, instead: Head | None) -> str:
    if instead is None:
        return f"record {anchor.sequence}, which was noted as an anchor, is not in the ledger"
    return (
        f"record {anchor.sequence} is not the one that was noted as an anchor: its hash is {instead.hash.hex()}; "
        "something up to it was changed, or the anchor is of another node"
    )
