"""Frames between a process and its children: 4 bytes of length, one of kind, and the rest."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Final

from weftmesh.core.errors import DataCorruptionError, InvalidInputError

FRAME_BYTES_MAX: Final = 16 * 1024 * 1024
_HEAD: Final = struct.Struct(">IB")
_TEXT: Final = struct.Struct(">H")


def frame(kind: int, body: bytes) -> bytes:
    """Return a frame as it is sent.

    Raises:
        InvalidInputError: the body is too long.
    """
    if len(body) > FRAME_BYTES_MAX:
        raise InvalidInputError(f"{len(body)} bytes for a child process; {FRAME_BYTES_MAX} is the most")
    return _HEAD.pack(len(body), kind) + body


async def read_frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Wait for a frame; return its kind and its body.

    Raises:
        asyncio.IncompleteReadError: the other end is gone.
        DataCorruptionError: what came is no frame.
    """
    size_bytes, kind = _HEAD.unpack(await reader.readexactly(_HEAD.size))
    _check(size_bytes)
    return kind, await reader.readexactly(size_bytes)


def receive_frame(channel: socket.socket) -> tuple[int, bytes] | None:
    """The same without a loop; None when the other end is gone."""
    head = _receive(channel, _HEAD.size)
    if head is None:
        return None
    size_bytes, kind = _HEAD.unpack(head)
    _check(size_bytes)
    body = _receive(channel, size_bytes)
    return None if body is None else (kind, body)


def pack_text(text: str) -> bytes:
    """Two bytes of length and UTF-8; a longer text is cut."""
    data = text.encode()[:0xFFFF]
    return _TEXT.pack(len(data)) + data


def unpack_text(body: bytes, at: int) -> tuple[str, int]:
    """The text that begins at `at`, and where it ends."""
    (size_bytes,) = _TEXT.unpack_from(body, at)
    end = at + _TEXT.size + size_bytes
    return body[at + _TEXT.size : end].decode(errors="replace"), end


def _receive(channel: socket.socket, size_bytes: int) -> bytes | None:
    parts: list[bytes] = []
    while size_bytes:
        part = channel.recv(min(size_bytes, 1 << 20))
        if not part:
            return None
        parts.append(part)
        size_bytes -= len(part)
    return b"".join(parts)


def _check(size_bytes: int) -> None:
    if size_bytes > FRAME_BYTES_MAX:
        raise DataCorruptionError(f"a frame of {size_bytes} bytes; {FRAME_BYTES_MAX} is the most")
