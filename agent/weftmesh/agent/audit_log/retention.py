"""What is let go of an audit log: its oldest files, by size and by age, and the chain says so before it happens.

By age a file goes only when the node has seen it too old for a day on a clock that nobody sets: a wrong time of day
alone lets go of nothing for so long, and set right in time of nothing at all.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from weftmesh.agent.chain.appending import Chain
from weftmesh.agent.chain.reading import Part, read_part
from weftmesh.core.audit_log.entries import Content
from weftmesh.core.hash_chain import Head, Pruned

US_PER_DAY: Final = 24 * 3600 * 1_000_000
OLD_FOR_S: Final = 24 * 3600.0

log = structlog.get_logger("weftmesh.audit")


class Retention:
    """How much is kept.

    Args:
        days: a file goes by age when its newest record is older, and has been seen so for `OLD_FOR_S`.
        size_bytes: the oldest files go while there is more.
        monotonic_s: a clock that only goes forward.
    """

    def __init__(self, days: int, size_bytes: int, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._days = days
        self._size_bytes = size_bytes
        self._monotonic_s = monotonic_s
        self._old_since_s: dict[Path, float] = {}

    def apply(self, chain: Chain[Content], now_us: int) -> None:
        """Let go of what is too much; of at least the newest file nothing goes. Blocks.

        Raises:
            OSError: the disk refused; the rest goes another time.
        """
        parts = chain.snapshot().parts
        self._look_at_ages(parts[:-1], now_us)
        doomed = self._doomed(parts)
        if not doomed:
            return
        upto = _before(parts[doomed], chain)
        if upto is None:
            return  # a damaged file stays where it can be looked at
        chain.append([(now_us, Pruned(upto, f"older than {self._days} days, or beyond {self._size_bytes} bytes"))])
        for part in parts[:doomed]:
            chain.drop(part)
        log.info("audit records let go", upto=upto.sequence, files=doomed)

    def _look_at_ages(self, sealed: list[Part], now_us: int) -> None:
        """Note since when each file is too old; one that no longer is, since the clock was set back, begins anew."""
        now_s, before = self._monotonic_s(), self._old_since_s
        old = [part.path for part in sealed if now_us - _written_us(part) > self._days * US_PER_DAY]
        self._old_since_s = {path: before.get(path, now_s) for path in old}
        fresh = sum(path not in before for path in old)
        if fresh > 1:  # by and by they get old one at a time
            log.warning(
                "files of the audit log are older than [audit] keep_days, and go in a day unless this clock is wrong",
                files=fresh,
                what_to_do="check the time of this machine",
            )

    def _doomed(self, parts: list[Part]) -> int:
        """How many of the oldest files go."""
        total_bytes = sum(part.size_bytes for part in parts)
        old_by_s = self._monotonic_s() - OLD_FOR_S
        count = 0
        for part in parts[:-1]:
            is_old = self._old_since_s.get(part.path, float("inf")) <= old_by_s
            if total_bytes <= self._size_bytes and not is_old:
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
