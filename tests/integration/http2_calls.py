"""Reads the gRPC calls out of the bytes of one HTTP/2 connection: RFC 9113 for frames, RFC 7541 for the path.

By hand, because the lock has no HTTP/2 library and a test needs little of it: whole frames, in order, of two peers that
keep to the protocol. What it does not know fails loudly and is not left out: a Huffman code, a compressed message.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAME_HEADER_BYTES = 9
MESSAGE_HEADER_BYTES = 5
PADDED, PRIORITY, END_HEADERS = 0x8, 0x20, 0x4
TABLE_BYTES = 4096
"""Of a dynamic table, until its encoder says otherwise (RFC 7541, section 4.2)."""
ENTRY_BYTES = 32
"""An entry's overhead in the size of a table (section 4.1)."""
STATIC_NAMES = (  # noqa: SIM905, a list of one word a line would fill the screen
    ":authority :method :method :path :path :scheme :scheme :status :status :status :status :status :status :status "
    "accept-charset accept-encoding accept-language accept-ranges accept access-control-allow-origin age allow "
    "authorization cache-control content-disposition content-encoding content-language content-length "
    "content-location content-range content-type cookie date etag expect expires from host if-match "
    "if-modified-since if-none-match if-range if-unmodified-since last-modified link location max-forwards "
    "proxy-authenticate proxy-authorization range referer refresh retry-after server set-cookie "
    "strict-transport-security transfer-encoding user-agent vary via www-authenticate"
).split()
"""Of the static table (appendix A); of its values none is needed here."""


class FrameType(IntEnum):
    """Those that carry what a call says."""

    DATA = 0
    HEADERS = 1
    RST_STREAM = 3
    CONTINUATION = 9


@dataclass
class Call:
    """One gRPC call.

    Attributes:
        path: /package.Service/Method.
        sent: the caller's messages that are there in full.
        answered: the other side's.
        headers_answered: the other side's headers and trailers, in order.
        reset: whether somebody broke it off.
    """

    path: str
    sent: list[bytes] = field(default_factory=list)
    answered: list[bytes] = field(default_factory=list)
    headers_answered: list[tuple[str, str]] = field(default_factory=list)
    reset: bool = False


class HeaderTable:
    """An HPACK decoder for what gRPC's own encoder writes, which codes no string by Huffman."""

    def __init__(self) -> None:
        self._entries: list[tuple[str, str]] = []
        self._limit_bytes = TABLE_BYTES

    def decode(self, block: bytes) -> Iterator[tuple[str, str]]:
        """The fields of a block."""
        at = 0
        while at < len(block):
            first = block[at]
            if first & 0x80:
                index, at = _integer(block, at, 7)
                yield self._entry(index)
            elif first & 0xE0 == 0x20:
                self._limit_bytes, at = _integer(block, at, 5)
                self._evict()
            else:
                is_kept = bool(first & 0x40)
                index, at = _integer(block, at, 6 if is_kept else 4)
                if index:
                    name = self._entry(index)[0]
                else:
                    name, at = _string(block, at)
                value, at = _string(block, at)
                if is_kept:
                    self._entries.insert(0, (name, value))
                    self._evict()
                yield name, value

    def _entry(self, index: int) -> tuple[str, str]:
        if index <= len(STATIC_NAMES):
            return STATIC_NAMES[index - 1], ""
        return self._entries[index - len(STATIC_NAMES) - 1]

    def _evict(self) -> None:
        while sum(len(name) + len(value) + ENTRY_BYTES for name, value in self._entries) > self._limit_bytes:
            self._entries.pop()


def calls_of(sent: bytes, answered: bytes) -> list[Call]:
    """The calls of a connection, in the order in which they began.

    Args:
        sent: what the side that connected has sent, from its first byte on.
        answered: what the other one has.
    """
    assert sent.startswith(PREFACE), "the bytes are not those of an HTTP/2 client"
    calls: dict[int, Call] = {}
    data: dict[tuple[int, bool], bytearray] = {}
    for of_caller, raw in ((True, sent[len(PREFACE) :]), (False, answered)):
        table = HeaderTable()
        for kind, stream, payload in _blocks(raw):
            if kind == FrameType.HEADERS:
                fields = list(table.decode(payload))
                if of_caller:
                    calls[stream] = Call(dict(fields)[":path"])
                else:
                    calls[stream].headers_answered += fields
            elif kind == FrameType.DATA:
                data.setdefault((stream, of_caller), bytearray()).extend(payload)
            elif kind == FrameType.RST_STREAM:
                calls[stream].reset = True
    for (stream, of_caller), found in data.items():
        messages = calls[stream].sent if of_caller else calls[stream].answered
        messages += _messages(bytes(found))
    return list(calls.values())


def _blocks(raw: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Kind, stream and contents of all frames that count, with CONTINUATION joined to its HEADERS."""
    at, headers = 0, b""
    while at + FRAME_HEADER_BYTES <= len(raw):
        length, kind, flags = int.from_bytes(raw[at : at + 3], "big"), raw[at + 3], raw[at + 4]
        stream = int.from_bytes(raw[at + 5 : at + 9], "big") & 0x7FFFFFFF
        payload = raw[at + FRAME_HEADER_BYTES : at + FRAME_HEADER_BYTES + length]
        at += FRAME_HEADER_BYTES + length
        if at > len(raw):
            return  # cut off with the connection
        if kind in (FrameType.DATA, FrameType.HEADERS):
            payload = _unpadded(payload, flags, kind)
        if kind in (FrameType.HEADERS, FrameType.CONTINUATION):
            headers += payload
            if flags & END_HEADERS:
                yield FrameType.HEADERS, stream, headers
                headers = b""
        elif kind in (FrameType.DATA, FrameType.RST_STREAM):
            yield kind, stream, payload


def _unpadded(payload: bytes, flags: int, kind: int) -> bytes:
    if flags & PADDED:
        payload = payload[1 : len(payload) - payload[0]]
    return payload[5:] if kind == FrameType.HEADERS and flags & PRIORITY else payload


def _messages(data: bytes) -> Iterator[bytes]:
    """Messages without gRPC's prefix: a byte that says whether it is compressed, and four of length."""
    at = 0
    while at + MESSAGE_HEADER_BYTES <= len(data):
        assert not data[at], "a message is compressed, which no channel of ours asks for"
        length = int.from_bytes(data[at + 1 : at + MESSAGE_HEADER_BYTES], "big")
        at += MESSAGE_HEADER_BYTES + length
        if at <= len(data):
            yield data[at - length : at]


def _integer(block: bytes, at: int, bits: int) -> tuple[int, int]:
    """A number whose first byte has a prefix of `bits` bits (section 5.1), and where it ends."""
    most = (1 << bits) - 1
    value, at, shift = block[at] & most, at + 1, 0
    if value < most:
        return value, at
    while True:
        byte = block[at]
        value, at, shift = value + ((byte & 0x7F) << shift), at + 1, shift + 7
        if not byte & 0x80:
            return value, at


def _string(block: bytes, at: int) -> tuple[str, int]:
    """A string (section 5.2), and where it ends."""
    assert not block[at] & 0x80, "a header is coded by Huffman, which this reader does not know"
    length, at = _integer(block, at, 7)
    return block[at : at + length].decode("latin-1"), at + length
