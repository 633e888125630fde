"""One sequence of values, one byte string: what is signed, hashed and put into key derivation.

Every value carries its type and its length, so that no two different sequences have the same bytes.
"""

from __future__ import annotations

from typing import Final

INTEGER_MAX: Final = 2**63 - 1
"""Integers are encoded in 8 bytes; the sign bit stays free for languages without unsigned integers."""
_LENGTH_BYTES: Final = 8

Value = int | str | bytes


def encode(*values: Value) -> bytes:
    """The canonical bytes of `values`; integers are in 0..INTEGER_MAX."""
    return b"".join([_encode_one(value) for value in values])


def _encode_one(value: Value) -> bytes:
    if isinstance(value, int):
        tag, body = b"i", value.to_bytes(8, "big")
    elif isinstance(value, str):
        tag, body = b"s", value.encode()
    else:
        tag, body = b"b", value
    return tag + len(body).to_bytes(_LENGTH_BYTES, "big") + body
