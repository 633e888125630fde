"""How many events of each objective were good, in parts of five minutes, of hours, and of days.

A part is in one place at a time: a chunk of five-minute parts that has got old becomes one part of an hour, and so on.
The sum over all nodes does not depend on the order in which their windows came.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Final

from weftmesh.core.ola.replicated.rows import DAY_S, WINDOW_S, ObjectiveCount
from weftmesh.core.records import record

_COUNTS: Final = struct.Struct("<QQ")
_HOUR_S: Final = 3_600


@record(frozen=True, slots=True)
class Tier:
    """Parts of one length.

    Attributes:
        part_s: seconds in a part.
        parts: in one chunk, which spans a part of the next tier.
        kept_s: a chunk that ended longer ago than this before the newest window goes to the next tier.
    """

    part_s: int
    parts: int
    kept_s: int

    @property
    def chunk_s(self) -> int:
        """Seconds in a chunk."""
        return self.part_s * self.parts


TIERS: Final = (
    Tier(WINDOW_S, _HOUR_S // WINDOW_S, 4 * DAY_S),
    Tier(_HOUR_S, DAY_S // _HOUR_S, 40 * DAY_S),
    Tier(DAY_S, 32, 400 * DAY_S),
)


@record(frozen=True, slots=True)
class Part:
    """What was counted in one part of time."""

    starts_s: int
    """Unix seconds."""
    part_s: int
    good: int
    total: int


@record(frozen=True, slots=True)
class Chunk:
    """Some parts of one objective in a row."""

    name: str
    objective: str
    part_s: int
    starts_s: int
    counts: bytes
    """For each part good and total, 8 bytes each, low byte first."""


_Key = tuple[str, str]
_Chunks = dict[int, dict[_Key, Chunk]]


class History:
    """All counts. Methods that change something return by how much the sum of hashes changes.

    Args:
        chunk_hash: of one chunk.
    """

    def __init__(self, chunk_hash: Callable[[Chunk], int]) -> None:
        self._chunk_hash = chunk_hash
        self._tiers: Final[tuple[_Chunks, ...]] = tuple({} for _ in TIERS)

    def add(self, starts_s: int, counts: tuple[ObjectiveCount, ...]) -> int:
        """Adds what a node counted in the window that starts then."""
        return sum([self._add(0, starts_s, (one.name, one.objective), one.good, one.total) for one in counts])

    def age(self, newest_s: int) -> int:
        """Moves what is old by now to coarser parts, and forgets what is older than all of them keep.

        Args:
            newest_s: where the newest window starts, Unix seconds.
        """
        change = 0
        for number, tier in enumerate(TIERS):
            chunks = self._tiers[number]
            for starts_s in sorted(one for one in chunks if one + tier.chunk_s + tier.kept_s <= newest_s):
                for key, chunk in chunks.pop(starts_s).items():
                    change -= self._chunk_hash(chunk)
                    if number + 1 < len(TIERS):
                        good, total = _sums(chunk)
                        change += self._add(number + 1, starts_s, key, good, total)
        return change

    def forget(self, name: str) -> int:
        """Drops everything of one agreement."""
        change = 0
        for chunks in self._tiers:
            for starts_s, of_start in list(chunks.items()):
                for key in [key for key in of_start if key[0] == name]:
                    change -= self._chunk_hash(of_start.pop(key))
                if not of_start:
                    del chunks[starts_s]
        return change

    def parts(self, name: str, objective: str, from_s: int, until_s: int) -> Iterator[Part]:
        """The parts in which something was counted and that begin in a span of time, the oldest first.

        Args:
            name: of the agreement.
            objective: its key.
            from_s: Unix seconds; included.
            until_s: Unix seconds; not included.
        """
        for tier, chunks in reversed(list(zip(TIERS, self._tiers, strict=True))):
            for starts_s in sorted(one for one in chunks if one < until_s and one + tier.chunk_s > from_s):
                chunk = chunks[starts_s].get((name, objective))
                if chunk is not None:
                    yield from (one for one in _parts(chunk) if one.total and from_s <= one.starts_s < until_s)

    def chunks(self) -> Iterator[Chunk]:
        """All chunks, in an order that depends on nothing but what they are."""
        for tier in self._tiers:
            for starts_s in sorted(tier):
                yield from (tier[starts_s][key] for key in sorted(tier[starts_s]))

    def put(self, chunk: Chunk) -> int:
        """Adds a chunk, or takes its place.

        Raises:
            ValueError: this version keeps no such parts.
        """
        number = next((at for at, tier in enumerate(TIERS) if tier.part_s == chunk.part_s), None)
        if number is None or len(chunk.counts) != TIERS[number].parts * _COUNTS.size:
            raise ValueError(f"a chunk of {len(chunk.counts)} bytes in parts of {chunk.part_s} s is none of history")
        of_start = self._tiers[number].setdefault(chunk.starts_s, {})
        key = (chunk.name, chunk.objective)
        before = of_start.get(key)
        of_start[key] = chunk
        return self._chunk_hash(chunk) - (0 if before is None else self._chunk_hash(before))

    def _add(self, number: int, starts_s: int, key: _Key, good: int, total: int) -> int:
        tier = TIERS[number]
        chunk_starts_s = starts_s - starts_s % tier.chunk_s
        before = self._tiers[number].get(chunk_starts_s, {}).get(key)
        counts = bytearray(tier.parts * _COUNTS.size) if before is None else bytearray(before.counts)
        place = (starts_s - chunk_starts_s) // tier.part_s * _COUNTS.size
        good_before, total_before = _COUNTS.unpack_from(counts, place)
        _COUNTS.pack_into(counts, place, good_before + good, total_before + total)
        return self.put(Chunk(*key, tier.part_s, chunk_starts_s, bytes(counts)))


def _parts(chunk: Chunk) -> Iterator[Part]:
    for place, (good, total) in enumerate(_COUNTS.iter_unpack(chunk.counts)):
        yield Part(chunk.starts_s + place * chunk.part_s, chunk.part_s, good, total)


def _sums(chunk: Chunk) -> tuple[int, int]:
    pairs = list(_COUNTS.iter_unpack(chunk.counts))
    return sum([good for good, _ in pairs]), sum([total for _, total in pairs])
