"""Chains of records: each names the SHA-256 of the one before it, so that its own hash stands for everything up to it.

Who noted a head once (an anchor) can tell later whether all of that is still there as it was. What a record holds, and
how it is written down, is the business of each chain (`Codec`); a record says at least its place, when it was written,
the hash before it, and up to where everything was known to be on disk by then.

A chain may be cut at its beginning, by a rule that says for how long records are kept: a `Pruned` record says up to
where. One that was found damaged goes on behind a `Break`, which says so. Sequences rise by one; a break may leave out
what was lost.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.records import record

SHA256_BYTES: Final = 32
_ANCHOR: Final = re.compile(r"([0-9]{1,19}):([0-9a-f]{64})")
BREAK_WHY_BYTES_MAX: Final = 2_000

ContentT = TypeVar("ContentT")


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
            f"{text[:80]!r} is no anchor; write SEQ:HASH as the command printed it that showed one: a number, a colon "
            "and 64 hexadecimal digits"
        )
    return Head(int(match[1]), bytes.fromhex(match[2]))


@record(frozen=True, slots=True)
class Break:
    """The chain was found damaged; `why` says which file, where, and what is lost."""

    why: str


@record(frozen=True, slots=True)
class Pruned:
    """The chain begins behind `upto` now: what was before was let go, as the rule says."""

    upto: Head
    why: str


@record(frozen=True, slots=True)
class Record(Generic[ContentT]):
    """One record.

    Attributes:
        sequence: from 1.
        durable_sequence: everything up to it was on disk when this was written.
        time_us: microseconds since 1970, by the node's clock.
        previous: the hash of the record before.
        content: what it is about, the break that begins here, or what was let go.
    """

    sequence: int
    durable_sequence: int
    time_us: int
    previous: bytes
    content: ContentT | Break | Pruned


class Codec(Protocol[ContentT]):
    """How the records of one chain are written down."""

    def pack(self, row: Record[ContentT]) -> bytes:
        """The bytes that are hashed and stored."""

    def unpack(self, payload: bytes) -> Record[ContentT]:
        """The inverse of `pack`.

        Raises:
            ValueError: this is no record that this version can read; the message says why.
        """


def hash_of(payload: bytes) -> bytes:
    """The hash of a packed record."""
    return sha256(payload).digest()


def mismatch(head: Head, row: Record[ContentT]) -> str:
    """What keeps `row` from following `head`; empty when it does."""
    if isinstance(row.content, Break):
        if row.sequence <= head.sequence:
            return f"record {row.sequence} stands behind record {head.sequence}"
    elif row.sequence != head.sequence + 1:
        return f"record {row.sequence} stands where record {head.sequence + 1} belongs"
    if row.previous != head.hash:
        return f"record {row.sequence} was written behind another record than the one that stands before it"
    return ""
