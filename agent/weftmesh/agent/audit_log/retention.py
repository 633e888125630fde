"""What is let go of an audit log: its oldest files, by age and by size, and the chain says so before it happens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import structlog

from weftmesh.agent.chain.appending import Chain
from weftmesh.agent.chain.reading import Part, read_part
from weftmesh.core.audit_log.entries import Content
from weftmesh.core.hash_chain import Head, Pruned

US_PER_DAY: Final = 24 * 3600 * 1_000_000

log = structlog.get_logger("weftmesh.audit")


@dataclass(frozen=True, slots=True)
class Retention:
    """How much is kept.

    Attributes:
        days: a file goes when its newest record is older.
        size_bytes: the oldest files go while there is more.
    """

    days: int
    size_bytes: int

    def apply(self, chain: Chain[Content], now_us: int) -> None:
        """Let go of what is too much; of at least the newest file nothing goes. Blocks.

        Raises:
            OSError: the disk refused; the rest goes another time.
        """
        parts = chain.snapshot().parts
        doomed = self._doomed(parts, now_us)
        if not doomed:
            return
        upto = _before(parts[doomed], chain)
        if upto is None:
            return  # a damaged file stays where it can be looked at
        chain.append([(now_us, Pruned(upto, f"older than {self.days} days, or beyond {self.size_bytes} bytes"))])
        for part in parts[:doomed]:
            chain.drop(part)
        log.info("audit records let go", upto=upto.sequence, files=doomed)

    def _doomed(self, parts: list[Part], now_us: int) -> int:
        """How many of the oldest files go."""
        total_bytes = sum(part.size_bytes for part in parts)
        count = 0
        for part in parts[:-1]:
            if total_bytes <= self.size_bytes and now_us - _written_us(part) <= self.days * US_PER_DAY:
                break
            total_bytes -= part.size_bytes
            count += 1
        return count


def _written_us(part: Part) -> int:
    """When a sealed file got its last record."""
    return part.path.stat().st_mtime_ns // 1_000


def _before(part: Part, chain: Chain[Content]) -> Head | None:
    """The record before the first one of a file."""
    first = next(read_part(part, chain.form.codec), None)
    if first is None or first.record is None:
        return None
    return Head(first.record.sequence - 1, first.record.previous)
