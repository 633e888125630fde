"""Short digests of what was imported, and identifiers that follow from a row alone.

A task carries, in one custom field, eight bytes for each field that was imported with a value: four of its path, four
of the value (BLAKE2b, RFC 7693). It answers one question: is this still what the last import brought? Two different
values pass for the same once in four billion; then a change in the file is taken for none.
"""

from __future__ import annotations

import binascii
import random
from base64 import b64decode, b64encode
from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import Final

from weftmesh.core.board.model import DueAt, DueDate, FieldValue
from weftmesh.core.exchange.values import blank
from weftmesh.core.ids import new_ulid

_DIGEST_BYTES: Final = 4
_PATHS_CACHED: Final = 1_024
_SEED_BYTES: Final = 16
_ULID_MS_MAX: Final = (1 << 48) - 1


class Digests:
    """What the last import brought, by path; a field without a digest was blank then."""

    def __init__(self, source: str, by_path: Mapping[bytes, bytes] | None = None) -> None:
        self._source = source
        self._by_path = dict(by_path or {})

    @classmethod
    def parse(cls, source: str, stored: str) -> Digests:
        """The digests in a custom field's value; none when another tracker's import wrote it, or it is damaged."""
        name, _, encoded = stored.rpartition(":")
        try:
            raw = b64decode(encoded, validate=True) if name == source else b""
        except binascii.Error:
            raw = b""
        entry_bytes = 2 * _DIGEST_BYTES
        if len(raw) % entry_bytes:
            return cls(source)
        entries = (raw[start : start + entry_bytes] for start in range(0, len(raw), entry_bytes))
        return cls(source, {entry[:_DIGEST_BYTES]: entry[_DIGEST_BYTES:] for entry in entries})

    def matches(self, path: str, value: FieldValue) -> bool:
        """Whether `value` is what the last import brought."""
        stored = self._by_path.get(_path_digest(path))
        return value == blank(path) if stored is None else stored == _value_digest(value)

    def record(self, path: str, value: FieldValue) -> None:
        """Remembers that an import brought `value`."""
        if value == blank(path):
            self._by_path.pop(_path_digest(path), None)
        else:
            self._by_path[_path_digest(path)] = _value_digest(value)

    def __bool__(self) -> bool:
        return bool(self._by_path)

    def __str__(self) -> str:
        raw = b"".join(path + value for path, value in sorted(self._by_path.items()))
        return f"{self._source}:{b64encode(raw).decode()}"


def task_id(project_id: str, origin: str, created_ms: int) -> str:
    """The ULID of an imported task: the same row gives the same one, so that an import repeated cannot double it."""
    seed = blake2b(f"{project_id}\n{origin}".encode(), digest_size=_SEED_BYTES).digest()
    return new_ulid(min(created_ms, _ULID_MS_MAX), random.Random(int.from_bytes(seed)))  # noqa: S311 - a name, no secret


@lru_cache(maxsize=_PATHS_CACHED)
def _path_digest(path: str) -> bytes:
    return blake2b(path.encode(), digest_size=_DIGEST_BYTES).digest()


def _value_digest(value: FieldValue) -> bytes:
    return blake2b(_canonical(value).encode(), digest_size=_DIGEST_BYTES).digest()


def _canonical(value: FieldValue) -> str:
    match value:
        case str():
            return f"text\n{value}"
        case frozenset():
            return "set\n" + "\n".join(sorted(value))
        case DueDate():
            return f"day\n{value.iso}"
        case DueAt():
            return f"instant\n{value.epoch_ms}\n{value.zone}"
        case int():
            return f"number\n{int(value)}"
        case float():
            return f"real\n{value!r}"
        case None:
            return "none"
