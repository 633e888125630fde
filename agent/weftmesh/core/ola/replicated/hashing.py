"""The hash of a row of the machine of agreements: the state hash is their sum modulo 2^128."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from weftmesh.core.ola.replicated.history import Chunk
from weftmesh.core.ola.replicated.outcomes import OlaEvent
from weftmesh.core.ola.replicated.rows import NodeWindow, Row
from weftmesh.core.row_hashes import HASH_BYTES, row_hash_of

_DOMAIN: Final = b"ola"


def row_hash(row: Row | OlaEvent) -> int:
    """The hash of one row, 0 to 2^128 - 1."""
    return _window_hash(row) if isinstance(row, NodeWindow) else row_hash_of(row, _DOMAIN)


def _window_hash(window: NodeWindow) -> int:
    """Of the row that has the most in it; written out, since each node makes one every five minutes."""
    counts = [f"{one.name} {one.objective} {one.good} {one.total}" for one in window.counts]
    digest = blake2b(digest_size=HASH_BYTES, person=_DOMAIN)
    digest.update(f"window {window.node} {window.starts_s} {' '.join(counts)}".encode())
    return int.from_bytes(digest.digest(), "big")


def chunk_hash(chunk: Chunk) -> int:
    """The hash of a chunk of history; written out, since one window changes a chunk of every objective."""
    where = f"chunk {chunk.name} {chunk.objective} {chunk.part_s} {chunk.starts_s} "
    digest = blake2b(where.encode() + chunk.counts, digest_size=HASH_BYTES, person=_DOMAIN)
    return int.from_bytes(digest.digest(), "big")
