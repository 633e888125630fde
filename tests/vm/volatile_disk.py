"""A disk with a volatile write cache, which can lose its power.

What a flush, or a write that asked to be durable, completed is in the image. Everything else is in memory, each version
of each sector. At a power cut each of those sectors keeps one of its versions, or what the image had: some of what was
written survives, in any order.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

SECTOR_BYTES = 512


@dataclass(frozen=True, slots=True)
class Cut:
    """What a power cut did, in sectors."""

    unflushed: int
    lost: int
    """What the image had is there again."""
    older: int
    """There is a version that had been written over."""


class VolatileDisk:
    """The disk over an image, from power on to power off."""

    def __init__(self, image: Path) -> None:
        self._image = os.open(image, os.O_RDWR)
        self.size_bytes = os.fstat(self._image).st_size
        self.flushes = 0
        self._cached: dict[int, list[bytes]] = {}

    @property
    def has_unflushed(self) -> bool:
        """Whether a cut would have something to lose."""
        return bool(self._cached)

    def close(self) -> None:
        """Let the image go; what is cached is lost."""
        os.close(self._image)

    def read(self, offset: int, length: int) -> bytes:
        """What was written last."""
        found = bytearray(os.pread(self._image, length, offset))
        for place, sector in _sectors(offset, length):
            versions = self._cached.get(sector)
            if versions:
                found[place : place + SECTOR_BYTES] = versions[-1]
        return bytes(found)

    def write(self, offset: int, data: bytes, durable: bool) -> None:
        """Keep data in the cache, or in the image when it has to be durable."""
        for place, sector in _sectors(offset, len(data)):
            if durable:
                self._cached.pop(sector, None)
            else:
                self._cached.setdefault(sector, []).append(data[place : place + SECTOR_BYTES])
        if durable:
            os.pwrite(self._image, data, offset)

    def flush(self) -> None:
        """Put everything into the image."""
        self.flushes += 1
        for sector, versions in self._cached.items():
            os.pwrite(self._image, versions[-1], sector * SECTOR_BYTES)
        self._cached.clear()

    def cut(self, kept: Callable[[int], int]) -> Cut:
        """Lose the power.

        Args:
            kept: which of so many versions a sector keeps, counted from 1; 0 is what the image had.
        """
        lost = older = 0
        for sector, versions in sorted(self._cached.items()):
            version = kept(len(versions))
            lost += version == 0
            older += 0 < version < len(versions)
            if version:
                os.pwrite(self._image, versions[version - 1], sector * SECTOR_BYTES)
        cut = Cut(len(self._cached), lost, older)
        self._cached.clear()
        return cut


def _sectors(offset: int, length: int) -> list[tuple[int, int]]:
    """Where each sector of a span begins in it, and its number."""
    assert offset % SECTOR_BYTES == length % SECTOR_BYTES == 0, (offset, length)
    return [(place, (offset + place) // SECTOR_BYTES) for place in range(0, length, SECTOR_BYTES)]
