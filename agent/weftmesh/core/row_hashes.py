"""The hash of an immutable row, for state hashes that are sums of row hashes modulo 2^128.

A row's text names its record and holds every field, so that no other row has it. The digest is personalised: rows of
two machines cannot have the same.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from enum import IntEnum
from hashlib import blake2b
from typing import Final

HASH_BYTES: Final = 16


def row_hash_of(row: object, domain: bytes) -> int:
    """The hash of one row, 0 to 2^128 - 1.

    Args:
        row: a record of numbers, texts, bytes, None, other records, and tuples of these.
        domain: the machine's, at most 16 bytes.

    Raises:
        TypeError: something else is in it.
    """
    digest = blake2b(_text(row).encode(), digest_size=HASH_BYTES, person=domain)
    return int.from_bytes(digest.digest(), "big")


def _text(value: object) -> str:
    if value is None:
        return "n"
    if isinstance(value, bool | IntEnum | int):
        return f"i{int(value)};"
    if isinstance(value, float):
        return f"f{value.hex()};"
    if isinstance(value, str):
        return f"s{len(value)}:{value}"
    if isinstance(value, bytes):
        return f"b{value.hex()};"
    if isinstance(value, tuple):
        return f"t{len(value)}:{''.join(map(_text, value))}"
    if is_dataclass(value):
        parts = "".join(_text(getattr(value, one.name)) for one in fields(value))
        return f"r{type(value).__name__}({parts})"
    raise TypeError(f"a {type(value).__name__} has no place in a row")
