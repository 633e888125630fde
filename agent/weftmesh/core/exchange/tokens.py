"""How one import is recognised later: a mark in the request id of each of its writes, and a token that names it.

The board keeps the request id of every change in its replicated history. An import writes under ids of version 8
(RFC 9562, section 5.8) that carry, besides a digest of the write, which import it was; so what an import made or
changed can be found on every node, after any restart, without a record of its own.
"""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass
from enum import IntEnum
from hashlib import blake2b
from typing import Final

from weftmesh.core.errors import InvalidInputError

_ID_BITS: Final = 48
_REVISION_BITS: Final = 40
_CHECK_BITS: Final = 12
_DIGEST_BITS: Final = 62
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_CHARACTERS: Final = (_ID_BITS + _REVISION_BITS + _CHECK_BITS) // 5
_GROUP: Final = 5
_LOOK_ALIKES: Final = str.maketrans("ILO", "110", "- ")
_VERSION_8: Final = 8 << 76
_VARIANT: Final = 2 << 62


class Mark(IntEnum):
    """What kind of write a marked request id belongs to. Numbers are written to disk."""

    IMPORT = 0x171
    UNDO = 0x172


@dataclass(frozen=True, slots=True)
class ImportToken:
    """Names one import.

    Attributes:
        import_id: 48 random bits.
        revision: of the replicated board before the import wrote; what was not written since is none of its work.
    """

    import_id: int
    revision: int

    @classmethod
    def new(cls, revision: int, rng: random.Random) -> ImportToken:
        """The token of an import that begins now."""
        return cls(rng.getrandbits(_ID_BITS), min(revision, (1 << _REVISION_BITS) - 1))

    @classmethod
    def parse(cls, text: str) -> ImportToken:
        """The token that `str` printed, in any case, with or without hyphens; or the request id of one of its writes.

        Raises:
            InvalidInputError: it is no token, or was mistyped.
        """
        mark = read_mark(text)
        if mark is not None and mark[1] is Mark.IMPORT:
            return cls(mark[0], 0)
        plain = text.strip().upper().translate(_LOOK_ALIKES)
        if len(plain) == _CHARACTERS and all(character in _ALPHABET for character in plain):
            value = 0
            for character in plain:
                value = value << 5 | _ALPHABET.index(character)
            content, check = value >> _CHECK_BITS, value & ((1 << _CHECK_BITS) - 1)
            if check == _check(content):
                return cls(content >> _REVISION_BITS, content & ((1 << _REVISION_BITS) - 1))
        raise InvalidInputError(
            f"{text[:40]!r} is no undo token, or was mistyped; an import prints it: four groups of five letters and "
            "digits"
        )

    def __str__(self) -> str:
        content = self.import_id << _REVISION_BITS | self.revision
        value = content << _CHECK_BITS | _check(content)
        plain = "".join(_ALPHABET[value >> shift & 31] for shift in range(5 * (_CHARACTERS - 1), -1, -5))
        return "-".join(plain[start : start + _GROUP] for start in range(0, _CHARACTERS, _GROUP))

    def request_id(self, mark: Mark, content: bytes) -> str:
        """The request id of a write of this import: `content` is all that the write says."""
        digest = int.from_bytes(blake2b(content, digest_size=8).digest()) >> (64 - _DIGEST_BITS)
        return str(uuid.UUID(int=self.import_id << 80 | _VERSION_8 | mark << 64 | _VARIANT | digest))

    def marks(self, request_id: str, mark: Mark) -> bool:
        """Whether a change with this request id is a write of this import."""
        return read_mark(request_id) == (self.import_id, mark)


def read_mark(request_id: str) -> tuple[int, Mark] | None:
    """The import that a request id names, and what for; None for any other request id."""
    try:
        value = uuid.UUID(request_id).int
    except ValueError:
        return None
    if value >> 76 & 15 != _VERSION_8 >> 76 or value >> 62 & 3 != _VARIANT >> 62:
        return None
    try:
        return value >> 80, Mark(value >> 64 & 0xFFF)
    except ValueError:
        return None


def _check(content: int) -> int:
    digest = blake2b(content.to_bytes(16), digest_size=2).digest()
    return int.from_bytes(digest) & ((1 << _CHECK_BITS) - 1)
