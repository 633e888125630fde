"""The egress ledger's records as bytes; the rule that makes them a chain is `core.hash_chain`'s.

Integers are big-endian:

    format u8 | kind u8 | sequence u64 | durable u64 | time u64 | size u64 | sha256 32 bytes | previous 32 bytes |
    peer length u16 | why length u16 | peer | why

`kind` is the class, or 0 for a break: a record that a node writes when its ledger was found damaged, and that says so.
Nothing is ever let go of this chain.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from weftmesh.core.hash_chain import BREAK_WHY_BYTES_MAX, SHA256_BYTES, Break, Pruned, Record
from weftmesh.core.privacy.egress import Egress, EgressClass

FORMAT: Final = 1
_BREAK: Final = 0
_FIELDS: Final = Struct(f">BBQQQQ{SHA256_BYTES}s{SHA256_BYTES}sHH")
_CLASSES: Final = {one.value: one for one in EgressClass}
_NO_PAYLOAD: Final = bytes(SHA256_BYTES)

EgressRecord = Record[Egress]


def pack(row: EgressRecord) -> bytes:
    """The bytes that are hashed and stored."""
    content = row.content
    if isinstance(content, Break):
        kind, size_bytes, digest, peer = _BREAK, 0, _NO_PAYLOAD, b""
        why = content.why.encode()[:BREAK_WHY_BYTES_MAX].decode(errors="ignore").encode()
    elif isinstance(content, Pruned):
        raise TypeError("nothing is let go of the egress ledger")
    else:
        kind, size_bytes, digest = int(content.egress_class), content.size_bytes, content.sha256
        peer, why = content.peer.encode(), content.why.encode()
    fields = (row.sequence, row.durable_sequence, row.time_us, size_bytes, digest, row.previous)
    return _FIELDS.pack(FORMAT, kind, *fields, len(peer), len(why)) + peer + why


def unpack(payload: bytes) -> EgressRecord:
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


class EgressCodec:
    """The ledger's codec; implements `hash_chain.Codec`."""

    pack = staticmethod(pack)
    unpack = staticmethod(unpack)


EGRESS_CODEC: Final = EgressCodec()
