"""The hash of a row of the machine of agreements: the state hash is their sum modulo 2^128."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from weftmesh.core.ola.replicated.history import Chunk
from weftmesh.core.ola.replicated.outcomes import OlaEvent
from weftmesh.core.ola.replicated.rows import Row
from weftmesh.core.row_hashes import HASH_BYTES, row_hash_of

_DOMAIN: Final = b"ola"


def row_hash(row: Row | OlaEvent) -> int:
    """The hash of one row, 0 to 2^128 - 1."""
    return row_hash_of(row, _DOMAIN)


def chunk_hash(chunk: Chunk) -> int:
    """The hash of a chunk of history; written out, since one window changes a chunk of every objective."""
    where = f"chunk {chunk.name} {chunk.objective} {chunk.part_s} {chunk.starts_s} "
    digest = blake2b(where.encode() + chunk.counts, digest_size=HASH_BYTES, person=_DOMAIN)
    return int.from_bytes(digest.digest(), "big")
