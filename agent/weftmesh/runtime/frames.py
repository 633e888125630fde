"""How records follow one another in a file: found again behind a damaged one, and never mistaken.

A record is a header and a payload. The header is a mark, the payload's length and its CRC-32, and the CRC-32 of all
that. Both sums begin with the record's place in the file, so that a copy of a record inside another one, which a task's
text may contain, is not one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final
from zlib import crc32

_MARK: Final = b"\x9dWq\n"
_FIELDS: Final = struct.Struct(">4sII")
_SUM: Final = struct.Struct(">I")
_HEADER: Final = struct.Struct(">4sIII")
_PLACE: Final = struct.Struct(">Q")
HEADER_BYTES: Final = _FIELDS.size + _SUM.size


@dataclass(slots=True)
class Contents:
    """What a file holds."""

    payloads: list[bytes] = field(default_factory=list)
    damaged: list[tuple[int, int]] = field(default_factory=list)
    """Begin and end of what is no record and is not explained by a write that was cut short."""
    end: int = 0
    """Where the last whole record ends; what follows was never acknowledged."""


def frames(payloads: Iterable[bytes], offset: int) -> bytes:
    """Records for `payloads`, the first one at `offset` of the file."""
    parts = []
    for payload in payloads:
        fields = _FIELDS.pack(_MARK, len(payload), crc32(payload, _seed(offset)))
        parts += [fields, _SUM.pack(crc32(fields, _seed(offset))), payload]
        offset += HEADER_BYTES + len(payload)
    return b"".join(parts)


def read_frames(data: bytes) -> Contents:
    """Every record of a file that verifies, in order."""
    contents = Contents()
    for begin, end, payload in pieces(data):
        if payload is not None:
            contents.payloads.append(payload)
        elif end == len(data) and _is_cut_short(data, begin, _end_of(data, begin)):
            break
        else:
            contents.damaged.append((begin, end))
        contents.end = end
    return contents


def pieces(data: bytes) -> Iterator[tuple[int, int, bytes | None]]:
    """Begin, end and payload of everything in a file, in order; no payload where the bytes are no record."""
    place = 0
    while place < len(data):
        payload = _payload_at(data, place)
        end = _next_record(data, place + 1) if payload is None else place + HEADER_BYTES + len(payload)
        yield place, end, payload
        place = end


def _seed(offset: int) -> int:
    return crc32(_PLACE.pack(offset))


def _payload_at(data: bytes, place: int) -> bytes | None:
    """The payload of the record at `place`; None unless a whole one verifies there."""
    begin = place + HEADER_BYTES
    if begin > len(data):
        return None
    mark, length, payload_sum, header_sum = _HEADER.unpack_from(data, place)
    if mark != _MARK or begin + length > len(data):
        return None
    seed, payload = _seed(place), data[begin : begin + length]
    whole = crc32(data[place : place + _FIELDS.size], seed) == header_sum and crc32(payload, seed) == payload_sum
    return payload if whole else None


def _end_of(data: bytes, place: int) -> int | None:
    """Where the record at `place` ends by its header, perhaps behind the file's end; None if there is no header."""
    header = data[place : place + HEADER_BYTES]
    if len(header) < HEADER_BYTES or not header.startswith(_MARK):
        return None
    (checksum,) = _SUM.unpack_from(header, _FIELDS.size)
    if crc32(header[: _FIELDS.size], _seed(place)) != checksum:
        return None
    length: int = _FIELDS.unpack_from(header)[1]
    return place + HEADER_BYTES + length


def _next_record(data: bytes, place: int) -> int:
    """Where the next record that verifies begins, the end of the data if there is none."""
    while (place := data.find(_MARK, place)) >= 0:
        if _payload_at(data, place) is not None:
            return place
        place += 1
    return len(data)


def _is_cut_short(data: bytes, place: int, end: int | None) -> bool:
    """Whether the rest of the file is the beginning of one record, as a process leaves it that dies while it writes."""
    if end is not None:
        return end > len(data)
    return len(data) - place < HEADER_BYTES and _MARK.startswith(data[place : place + len(_MARK)])
