"""How much left, by class and peer: a few numbers, however many records there are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from weftmesh.core.privacy.egress import Egress, EgressClass

ROWS_MAX: Final = 1_000
"""Further peers are added up under `OTHER_PEERS`."""
OTHER_PEERS: Final = "(other peers)"


@dataclass(frozen=True, slots=True)
class EgressQuery:
    """Which records are meant.

    Attributes:
        since_us: not before, microseconds since 1970.
        egress_class: only this one; None for all.
        peer: only this one; empty for all.
    """

    since_us: int = 0
    egress_class: EgressClass | None = None
    peer: str = ""

    def takes(self, time_us: int, egress: Egress) -> bool:
        """Whether a record is meant."""
        return (
            time_us >= self.since_us
            and self.egress_class in (None, egress.egress_class)
            and self.peer in ("", egress.peer)
        )


@dataclass(slots=True)
class Row:
    """What left in one class to one peer; times are microseconds since 1970."""

    egress_class: EgressClass
    peer: str
    payloads: int = 0
    size_bytes: int = 0
    first_us: int = 0
    last_us: int = 0


@dataclass(slots=True)
class Totals:
    """Sums over records; `rows` is in the order that classes and peers were seen."""

    rows: dict[tuple[EgressClass, str], Row] = field(default_factory=dict)

    def add(self, time_us: int, egress: Egress) -> None:
        """Count one record."""
        key = (egress.egress_class, egress.peer)
        row = self.rows.get(key)
        if row is None:
            if len(self.rows) >= ROWS_MAX:
                key = (egress.egress_class, OTHER_PEERS)
            row = self.rows.setdefault(key, Row(*key, first_us=time_us, last_us=time_us))
        row.payloads += 1
        row.size_bytes += egress.size_bytes
        row.first_us = min(row.first_us, time_us)
        row.last_us = max(row.last_us, time_us)

    def sorted_rows(self) -> list[Row]:
        """By class, the largest first within each."""
        return sorted(self.rows.values(), key=lambda row: (row.egress_class, -row.size_bytes, row.peer))
