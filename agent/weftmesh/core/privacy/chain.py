"""The egress ledger's records as bytes, and the rule that makes them a chain.

A record names the SHA-256 of the record before it, so that its own hash stands for everything up to it: who noted a
head once (`Head`, an anchor) can tell later whether all of that is still there as it was. Integers are big-endian:

    format u8 | kind u8 | sequence u64 | durable u64 | time u64 | size u64 | sha256 32 bytes | previous 32 bytes |
    peer length u16 | why length u16 | peer | why

`kind` is the class, or 0 for a break: a record that a node writes when its ledger was found damaged, and that says so.
Sequences rise by one; after a break they may leave out what was lost. `durable` is the sequence up to which everything
was known to be on disk when the record was written: what has that many records before it was acknowledged.
"""

from __future__ import annotations

import re
from hashlib import sha256
from struct import Struct
from typing import Final, NamedTuple

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.privacy.egress import SHA256_BYTES, Egress, EgressClass
from weftmesh.core.records import record

FORMAT: Final = 1
_BREAK: Final = 0
_FIELDS: Final = Struct(f">BBQQQQ{SHA256_BYTES}s{SHA256_BYTES}sHH")
_CLASSES: Final = {one.value: one for one in EgressClass}
_NO_PAYLOAD: Final = bytes(SHA256_BYTES)
_ANCHOR: Final = re.compile(r"([0-9]{1,19}):([0-9a-f]{64})")
BREAK_WHY_BYTES_MAX: Final = 2_000


class Head(NamedTuple):
    """A record by its sequence and hash, which stand for the whole chain up to it; `str` is what people note."""

    sequence: int
    hash: bytes

    def __str__(self) -> str:
        return f"{self.sequence}:{self.hash.hex()}"


GENESIS: Final = Head(0, bytes(SHA256_BYTES))
"""Before the first record."""


def parse_head(text: str) -> Head:
    """The head that `str(head)` wrote.

    Raises:
        InvalidInputError: it is none.
    """
    match = _ANCHOR.fullmatch(text.strip().lower())
    if match is None:
        raise InvalidInputError(
            f"{text[:80]!r} is no anchor; write SEQ:HASH as `weftmesh privacy report` printed it: a number, a colon "
            "and 64 hexadecimal digits"
        )
    return Head(int(match[1]), bytes.fromhex(match[2]))


@record(frozen=True, slots=True)
class Break:
    """The ledger was found damaged; `why` says which file, where, and what is lost."""

    why: str


@record(frozen=True, slots=True)
class Record:
    """One record.

    Attributes:
        sequence: from 1.
        durable_sequence: everything up to it was on disk when this was written.
        time_us: microseconds since 1970, by the node's clock.
        previous: the hash of the record before.
        content: what was about to leave, or the break that begins here.
    """

    sequence: int
    durable_sequence: int
    time_us: int
    previous: bytes
    content: Egress | Break


def pack(row: Record) -> bytes:
    """The bytes that are hashed and stored."""
    content = row.content
    if isinstance(content, Break):
        kind, size_bytes, digest, peer = _BREAK, 0, _NO_PAYLOAD, b""
        why = content.why.encode()[:BREAK_WHY_BYTES_MAX].decode(errors="ignore").encode()
    else:
        kind, size_bytes, digest = int(content.egress_class), content.size_bytes, content.sha256
        peer, why = content.peer.encode(), content.why.encode()
    fields = (row.sequence, row.durable_sequence, row.time_us, size_bytes, digest, row.previous)
    return _FIELDS.pack(FORMAT, kind, *fields, len(peer), len(why)) + peer + why


def unpack(payload: bytes) -> Record:
    """The inverse of `pack`.

    Raises:
        ValueError: this is no record that this version can read; the message says why.
    """
    if len(payload) < _FIELDS.size or payload[0] != FORMAT:
        raise ValueError(f"{len(payload)} bytes that do not begin as a record of format {FORMAT}")
    _, kind, sequence, durable, time_us, size_bytes, digest, previous, peer_bytes, why_bytes = _FIELDS.unpack_from(
        payload
    )
    why_begin = _FIELDS.size + peer_bytes
    if len(payload) != why_begin + why_bytes:
        raise ValueError("a record whose texts have other lengths than it says")
    why = payload[why_begin:].decode()
    if kind == _BREAK:
        return Record(sequence, durable, time_us, previous, Break(why))
    if kind not in _CLASSES:
        raise ValueError(f"a record of class {kind}, which this version does not know")
    egress = Egress(_CLASSES[kind], payload[_FIELDS.size : why_begin].decode(), size_bytes, digest, why)
    return Record(sequence, durable, time_us, previous, egress)


def hash_of(payload: bytes) -> bytes:
    """The hash of a packed record."""
    return sha256(payload).digest()


def mismatch(head: Head, row: Record) -> str:
    """What keeps `row` from following `head`; empty when it does."""
    if isinstance(row.content, Break):
        if row.sequence <= head.sequence:
            return f"record {row.sequence} stands behind record {head.sequence}"
    elif row.sequence != head.sequence + 1:
        return f"record {row.sequence} stands where record {head.sequence + 1} belongs"
    if row.previous != head.hash:
        return f"record {row.sequence} was written behind another record than the one that stands before it"
    return ""
