"""The rows of the machine of trust in tables, and the sum of their hashes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from heapq import nlargest
from typing import Any, Final

from weftmesh.core.board.hashing import HASH_MASK
from weftmesh.core.row_hashes import row_hash_of
from weftmesh.core.tables import Table
from weftmesh.core.trust.rows import (
    STAMP_COUNTER_BITS,
    AuthorityState,
    NodeCertificate,
    Phase,
    Revocation,
    Row,
    TrustedAuthority,
)

_DOMAIN: Final = b"trust"


def row_hash(row: Row) -> int:
    """The hash of one row, 0 to 2^128 - 1."""
    return row_hash_of(row, _DOMAIN)


def key_of(row: Row) -> str:
    """What a row is found by in its table: no node's name is hexadecimal digits after a colon."""
    match row:
        case TrustedAuthority():
            return row.sha256
        case NodeCertificate():
            return row.node
        case Revocation():
            return f":{row.serial}" if row.serial else row.node


class Store:
    """Everything that the machine keeps, but for remembered requests."""

    def __init__(self, revision: int = 0) -> None:
        self.revision = revision
        self.authorities: Final = Table[str, TrustedAuthority](row_hash)
        """By sha256."""
        self.certificates: Final = Table[str, NodeCertificate](row_hash)
        """By node."""
        self.revocations: Final = Table[str, Revocation](row_hash)
        """By node, or by a colon and the serial."""
        self.hash_sum = 0
        self._tables: Final[Mapping[type[Row], Table[str, Any]]] = {
            TrustedAuthority: self.authorities,
            NodeCertificate: self.certificates,
            Revocation: self.revocations,
        }

    def rows(self) -> Iterator[Row]:
        """All rows, table by table."""
        for table in self._tables.values():
            yield from table

    def put(self, row: Row) -> None:
        """Adds or replaces a row."""
        self._add(self._tables[type(row)].put(key_of(row), row))

    def drop(self, row: Row) -> None:
        """Removes a row that is here."""
        self._add(self._tables[type(row)].drop(key_of(row)))

    def authority_in(self, state: AuthorityState) -> TrustedAuthority | None:
        """The authority in that state; there is one at most."""
        return next((one for one in self.authorities if one.state is state), None)

    @property
    def reached_ms(self) -> int:
        """A time that two nodes at least have told of: one clock that is ahead must not end a revocation."""
        latest = nlargest(2, (one.stamp for one in self.certificates))
        return latest[-1] >> STAMP_COUNTER_BITS if len(latest) > 1 else 0

    @property
    def phase(self) -> Phase:
        """Where the rotation stands."""
        if self.authority_in(AuthorityState.COMING):
            return Phase.BEGUN
        return Phase.ISSUED if self.authority_in(AuthorityState.RETIRING) else Phase.NONE

    def _add(self, change: int) -> None:
        self.hash_sum = (self.hash_sum + change) & HASH_MASK
