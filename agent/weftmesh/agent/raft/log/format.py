"""The bytes of a log segment: packing, checking and searching. Pure, no I/O.

A segment file is a header (magic, format, sequence, salt, CRC) and records, then zeroes to the end of the file.
Integers are little-endian. A record is

    crc u32 | mark 3 bytes | kind u8 | length u32 | previous u32 | durable u32 | index u64 | term u64 | payload

`crc` covers all that follows it; its seed and the mark come from the segment's random salt, so that neither a stale
record nor bytes that a client chose pass for a record. `previous` is the CRC of the record before it, also across
segments: a chain that is verified forwards, while a record found by searching still verifies on its own. `durable` is
the position in this segment up to which everything was known to be synced when the record was written.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from mmap import mmap
from typing import NamedTuple
from zlib import crc32

FORMAT = 1
MAGIC = b"WEFTWAL\x00"

_SEGMENT = struct.Struct("<8sIQQ")
_CRC = struct.Struct("<I")
_BODY = struct.Struct("<3sBIIIQQ")
_RECORD = struct.Struct("<I3sBIIIQQ")
_HEAD = struct.Struct("<QQ")

SEGMENT_HEADER_BYTES = 32
"""Header, CRC and padding; the first record follows."""
RECORD_HEADER_BYTES = _RECORD.size
PIECE_BYTES = 1 << 16
"""What is looked at in one go."""
_ZEROES = bytes(PIECE_BYTES)

Data = bytes | mmap
"""A segment, or a part of one."""


class Kind(IntEnum):
    """What a record says; `index` and `term` are 0 where a kind does not use them."""

    ENTRY = 1
    """The entry (index, term, payload) follows the last one."""
    HARD_STATE = 2
    """The current term is `term`, the vote in it is the payload (UTF-8)."""
    TRUNCATE = 3
    """The entry at `index` and all after it are gone."""
    COMPACT = 4
    """Entries up to `index`, of term `term`, are gone: a snapshot covers them."""
    RESET = 5
    """All entries are gone; the base is (index, term)."""
    HEAD = 6
    """First in each segment: the whole state but the entries; the base is (index, term)."""
    SEAL = 7
    """Last in a segment that another one follows."""
    SYNCED = 8
    """Says nothing but its `durable`."""


@dataclass(slots=True)
class Record:
    """One verified record."""

    crc: int
    kind: int
    previous: int
    durable: int
    index: int
    term: int
    payload: bytes
    end: int
    """Offset behind it."""


class Key(NamedTuple):
    """What tells a segment's records from other bytes; secret, so that no payload can imitate one."""

    seed: int
    mark: bytes


def key_of(salt: int) -> Key:
    """The key that a segment's 64 bits of salt make; the mark does not begin with a zero."""
    return Key(salt & 0xFFFFFFFF, bytes([salt >> 32 & 0xFF | 0x80]) + (salt >> 40).to_bytes(3, "little")[:2])


class Head(NamedTuple):
    """The payload of a HEAD record."""

    last_index: int
    term: int
    vote: str


def pack_segment_header(sequence: int, salt: int, format_: int = FORMAT) -> bytes:
    """The first SEGMENT_HEADER_BYTES of a segment."""
    body = _SEGMENT.pack(MAGIC, format_, sequence, salt)
    return (body + _CRC.pack(crc32(body))).ljust(SEGMENT_HEADER_BYTES, b"\0")


class SegmentHeader(NamedTuple):
    """What a segment says of itself."""

    format: int
    sequence: int
    salt: int


def read_segment_header(data: bytes) -> SegmentHeader | None:
    """The header at the beginning of `data`; None unless it is whole."""
    end = _SEGMENT.size + _CRC.size
    if len(data) < SEGMENT_HEADER_BYTES or any(data[end:SEGMENT_HEADER_BYTES]):
        return None
    magic, format_, sequence, salt = _SEGMENT.unpack_from(data)
    if magic != MAGIC or _CRC.unpack_from(data, _SEGMENT.size)[0] != crc32(data[: _SEGMENT.size]):
        return None
    return SegmentHeader(format_, sequence, salt)


def pack_head(last_index: int, term: int, vote: str) -> bytes:
    """The payload of a HEAD record."""
    return _HEAD.pack(last_index, term) + vote.encode()


def read_head(payload: bytes) -> Head:
    """The inverse of `pack_head`.

    Raises:
        ValueError: the payload is none.
    """
    if len(payload) < _HEAD.size:
        raise ValueError(f"a head record of {len(payload)} bytes")
    last_index, term = _HEAD.unpack_from(payload)
    return Head(last_index, term, payload[_HEAD.size :].decode())


def pack_record(
    key: Key, previous: int, durable: int, kind: int, index: int, term: int, payload: bytes = b""
) -> tuple[bytes, int]:
    """A record and its CRC, which is the next record's `previous`."""
    body = _BODY.pack(key.mark, kind, len(payload), previous, durable, index, term) + payload
    crc = crc32(body, key.seed)
    return _CRC.pack(crc) + body, crc


def read_record(data: Data, offset: int, key: Key) -> Record | None:
    """The record at `offset` of the segment `data`; None unless it is whole. Does not look at the chain."""
    start = offset + RECORD_HEADER_BYTES
    if start > len(data):
        return None
    crc, mark, kind, length, previous, durable, index, term = _RECORD.unpack_from(data, offset)
    end = start + length
    if mark != key.mark or end > len(data) or crc32(memoryview(data)[offset + _CRC.size : end], key.seed) != crc:
        return None
    return Record(crc, kind, previous, durable, index, term, data[start:end], end)


def find_records(data: Data, offset: int, key: Key) -> Iterator[Record]:
    """Every record that verifies on its own at `offset` or anywhere behind it."""
    at = _find(data, key.mark, offset + _CRC.size)
    while at >= 0:
        record = read_record(data, at - _CRC.size, key)
        if record is not None:
            yield record
        at = _find(data, key.mark, at + 1 if record is None else record.end + _CRC.size)


def _find(data: Data, mark: bytes, start: int) -> int:
    """`data.find`, in pieces: before CPython 3.11.4 that of a mapping reads beyond its end (gh-105235)."""
    for at in range(start, len(data), PIECE_BYTES):
        found = data[at : at + PIECE_BYTES + len(mark) - 1].find(mark)
        if found >= 0:
            return at + found
    return -1


def is_blank(data: Data, offset: int, end: int | None = None) -> bool:
    """Whether there are only zeroes from `offset` on, or from there to `end`."""
    end = len(data) if end is None else end
    pieces = (data[at : min(at + PIECE_BYTES, end)] for at in range(offset, end, PIECE_BYTES))
    return all(piece == _ZEROES[: len(piece)] for piece in pieces)
