"""The hash of a learning row, for the same kind of state hash as the board's: a sum of row hashes modulo 2^128."""

from __future__ import annotations

from typing import Final

from weftmesh.core.learning.model import Row
from weftmesh.core.learning.outcomes import LearningEvent
from weftmesh.core.row_hashes import row_hash_of

_DOMAIN: Final = b"learning"


def row_hash(row: Row | LearningEvent) -> int:
    """The hash of one row, 0 to 2^128 - 1."""
    return row_hash_of(row, _DOMAIN)
