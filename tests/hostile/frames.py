"""HTTP/2 frames as an attacker writes them: RFC 9113, any field as wrong as wanted, headers as plain HPACK literals."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, END_HEADERS, PADDED, PRIORITIZED, ACK = 0x1, 0x4, 0x8, 0x20, 0x1
CANCEL: Final = struct.pack(">I", 8)

Fields = Iterable[tuple[str, str]]


def frame(
    kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"", *, length_bytes: int | None = None
) -> bytes:
    """One frame.

    Args:
        kind: its type.
        flags: of the type.
        stream: the identifier, the reserved bit included.
        payload: what follows the nine bytes.
        length_bytes: what the frame says its payload has; None for the truth.
    """
    said_bytes = len(payload) if length_bytes is None else length_bytes
    return struct.pack(">I", said_bytes)[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def integer(value: int, bits: int, pattern: int) -> bytes:
    """An integer of HPACK (RFC 7541, section 5.1) with `pattern` before its prefix of `bits` bits."""
    most = (1 << bits) - 1
    if value < most:
        return bytes([pattern | value])
    out, value = bytearray([pattern | most]), value - most
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def literal(name: str, value: str, *, indexed: bool = False) -> bytes:
    """A literal field with a new name, put into the dynamic table or not (section 6.2)."""
    out = b"\x40" if indexed else b"\x00"
    for text in (name.encode(), value.encode()):
        out += integer(len(text), 7, 0) + text
    return out


def block(fields: Fields) -> bytes:
    """A header block of literals."""
    return b"".join(literal(name, value) for name, value in fields)


def request_fields(path: str, *, content_type: str = "application/grpc", further: Fields = ()) -> list[tuple[str, str]]:
    """What a gRPC client sends first."""
    return [
        (":method", "POST"),
        (":scheme", "https"),
        (":path", path),
        (":authority", "mesh"),
        ("te", "trailers"),
        ("content-type", content_type),
        *further,
    ]


def call_headers(stream: int, path: str, *, content_type: str = "application/grpc", further: Fields = ()) -> bytes:
    """HEADERS that begin a call, whose message is still to come."""
    fields = request_fields(path, content_type=content_type, further=further)
    return frame(HEADERS, END_HEADERS, stream, block(fields))


def message(
    stream: int, body: bytes, *, length_bytes: int | None = None, compressed: int = 0, end: bool = True
) -> bytes:
    """DATA with one gRPC message, whose prefix may lie about its length."""
    said_bytes = len(body) if length_bytes is None else length_bytes
    prefix = struct.pack(">BI", compressed, said_bytes & 0xFFFFFFFF)
    return frame(DATA, END_STREAM if end else 0, stream, prefix + body)


def opening(settings: bytes = b"") -> bytes:
    """What a client's connection begins with."""
    return PREFACE + frame(SETTINGS, payload=settings)
