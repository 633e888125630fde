"""Records of an audit log that fit a question, read in the files' order or, for the newest few, from the end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from weftmesh.agent.chain.reading import Part, Piece, read_part
from weftmesh.core.audit_log.entries import AUDIT_CODEC, Content, Entry, Outcome

AuditPiece = Piece[Content]


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """What somebody wants to see.

    Attributes:
        since_us: nothing older, microseconds since 1970.
        actor: only of this one; empty for all.
        project: only about this one; empty for all.
        denied_only: only refusals.
    """

    since_us: int = 0
    actor: str = ""
    project: str = ""
    denied_only: bool = False

    def takes(self, piece: AuditPiece) -> bool:
        """Whether a piece fits; what is no call fits where nothing particular is asked for."""
        if piece.record is None or piece.record.time_us < self.since_us:
            return False
        content = piece.record.content
        if not isinstance(content, Entry):
            return not (self.actor or self.project or self.denied_only)
        return (
            self.actor in ("", content.actor)
            and self.project in ("", content.project)
            and not (self.denied_only and content.outcome is not Outcome.DENIED)
        )


def read_all(parts: list[Part], query: AuditQuery, after_sequence: int = 0) -> Iterator[AuditPiece | None]:
    """Everything behind a record that fits, the oldest first; None for what does not, so that readers take turns."""
    for part, following in zip(parts, [*parts[1:], None], strict=True):
        if following is not None and int(following.path.stem) <= after_sequence + 1:
            continue
        for piece in read_part(part, AUDIT_CODEC):
            beyond = piece.record is not None and piece.record.sequence > after_sequence
            yield piece if beyond and query.takes(piece) else None


def read_newest(parts: list[Part], query: AuditQuery, count: int) -> Iterator[AuditPiece | None]:
    """The newest `count` that fit, the oldest of them first; Nones before them, while they are looked for."""
    found: list[AuditPiece] = []
    for part in reversed(parts):
        here = []
        for piece in read_part(part, AUDIT_CODEC):
            if query.takes(piece):
                here.append(piece)
            yield None
        found = here + found
        if len(found) >= count:
            break
    yield from found[-count:]
