"""The report on the ledger: totals, and the records themselves, in one pass over the files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from weftmesh.agent.chain.reading import Part, read_parts
from weftmesh.core.hash_chain import Record
from weftmesh.core.privacy.chain import EGRESS_CODEC
from weftmesh.core.privacy.egress import Egress
from weftmesh.core.privacy.totals import EgressQuery, Totals


@dataclass(slots=True)
class Tally:
    """Adds up what a query takes.

    Attributes:
        unreadable_parts: what is no record, and breaks.
    """

    query: EgressQuery
    totals: Totals = field(default_factory=Totals)
    unreadable_parts: int = 0

    def run(self, parts: list[Part]) -> Iterator[tuple[Record[Egress], Egress] | None]:
        """Read everything, one piece at each step: a record that the query takes and its content, or None."""
        for piece in read_parts(parts, EGRESS_CODEC):
            record = piece.record
            if record is None or not isinstance(record.content, Egress):
                self.unreadable_parts += 1
                yield None
            elif self.query.takes(record.time_us, record.content):
                self.totals.add(record.time_us, record.content)
                yield record, record.content
            else:
                yield None
