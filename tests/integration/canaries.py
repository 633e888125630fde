"""Words that must not leave a node, and where they show in bytes, whatever dress they wear.

A canary is one stem, with a word behind it that says where it was planted. It is looked for in every form in which text
is commonly passed on. What is encrypted cannot be seen, nor a bare deflate stream, which has no mark to begin at.
"""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Iterator

STREAM = re.compile(rb"\x78[\x01\x5e\x9c\xda]|\x1f\x8b\x08", re.DOTALL)
"""How zlib (RFC 1950) and gzip (RFC 1952) streams begin."""
ZLIB_OR_GZIP = 32 + zlib.MAX_WBITS
UNPACKED_BYTES_MAX = 8 * 1024 * 1024
DEPTH_MAX = 3
"""Streams within streams."""
CONTEXT_BYTES = 40


def forms(stem: str) -> dict[bytes, str]:
    """What to look for, with the name of each form."""
    found: dict[bytes, str] = {}
    for case, word in (("as it is", stem), ("in lower case", stem.lower()), ("in upper case", stem.upper())):
        for encoding in ("utf-8", "utf-16-le", "utf-16-be"):
            text = word.encode(encoding)
            found[text] = f"{encoding}, {case}"
            found[text.hex().encode()] = found[text.hex().upper().encode()] = f"hex of {encoding}, {case}"
            for offset in range(3):
                for alphabet, encode in (("base64", base64.b64encode), ("base64url", base64.urlsafe_b64encode)):
                    found[_inner(encode(bytes(offset) + text), offset, len(text))] = f"{alphabet} of {encoding}, {case}"
    return found


def sightings(data: bytes, stem: str) -> list[str]:
    """Where `stem` shows in `data` or in what is compressed there; one line for each form."""
    wanted = forms(stem)
    lines = []
    for layer, plain in _layers(data, DEPTH_MAX):
        for form, name in wanted.items():
            at = plain.find(form)
            if at >= 0:
                around = plain[max(at - CONTEXT_BYTES, 0) : at + len(form) + CONTEXT_BYTES]
                lines.append(f"{name}{layer}: {around!r}")
    return lines


def _inner(encoded: bytes, offset: int, length: int) -> bytes:
    """The characters of base64 that depend on the text alone, when `offset` bytes stand before it."""
    return encoded[-(-offset * 8 // 6) : (offset + length) * 8 // 6]


def _layers(data: bytes, depth: int, name: str = "") -> Iterator[tuple[str, bytes]]:
    yield name, data
    if not depth:
        return
    for match in STREAM.finditer(data):
        plain = _unpacked(data[match.start() :])
        if plain:
            yield from _layers(plain, depth - 1, f"{name}, compressed")


def _unpacked(stream: bytes) -> bytes:
    """What a stream that begins here holds, as far as it can be read; nothing when none begins here."""
    unpacker = zlib.decompressobj(ZLIB_OR_GZIP)
    plain = bytearray()
    try:
        # Byte by byte: what comes before a damaged one, or before one that is no part of the stream, counts too.
        for at in range(len(stream)):
            plain += unpacker.decompress(stream[at : at + 1])
            if unpacker.eof or len(plain) > UNPACKED_BYTES_MAX:
                break
    except zlib.error:
        pass
    return bytes(plain)
