"""The rows of the learning machine in tables, the events of late, and the sum of their hashes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final

from weftmesh.core.board.hashing import HASH_MASK
from weftmesh.core.learning.hashing import row_hash
from weftmesh.core.learning.model import Evaluation, Job, Limits, OptOut, Round, RoundKind, Row, UnmaskIntent, Version
from weftmesh.core.learning.outcomes import LearningEvent
from weftmesh.core.tables import Table


class Store:
    """Everything that the learning machine keeps, but for remembered requests."""

    def __init__(self, revision: int = 0) -> None:
        self.revision = revision
        self.jobs: Final = Table[str, Job](row_hash)
        self.opt_outs: Final = Table[tuple[str, str], OptOut](row_hash)
        """By node and job."""
        self.rounds: Final = Table[bytes, Round](row_hash)
        self.intents: Final = Table[tuple[str, RoundKind, int], UnmaskIntent](row_hash)
        """By job, kind of round and base version."""
        self.versions: Final = Table[tuple[str, int], Version](row_hash)
        self.evaluations: Final = Table[tuple[str, int], Evaluation](row_hash)
        """By job and version."""
        self.events: Final[deque[LearningEvent]] = deque()
        self.event_floor = revision
        """Events up to this revision are no longer kept."""
        self.hash_sum = 0

    def rows(self) -> Iterator[Row]:
        """All rows, table by table."""
        for table in (self.jobs, self.opt_outs, self.rounds, self.intents, self.versions, self.evaluations):
            yield from table

    def put(self, row: Row) -> None:
        """Adds or replaces a row."""
        match row:
            case Job():
                change = self.jobs.put(row.name, row)
            case OptOut():
                change = self.opt_outs.put((row.node, row.job), row)
            case Round():
                change = self.rounds.put(row.id, row)
            case UnmaskIntent():
                change = self.intents.put((row.job, row.kind, row.base_version), row)
            case Version():
                change = self.versions.put((row.job, row.number), row)
            case Evaluation():
                change = self.evaluations.put((row.job, row.version), row)
        self._add(change)

    def drop(self, row: Row) -> None:
        """Removes a row that is here."""
        match row:
            case Job():
                change = self.jobs.drop(row.name)
            case OptOut():
                change = self.opt_outs.drop((row.node, row.job))
            case Round():
                change = self.rounds.drop(row.id)
            case UnmaskIntent():
                change = self.intents.drop((row.job, row.kind, row.base_version))
            case Version():
                change = self.versions.drop((row.job, row.number))
            case Evaluation():
                change = self.evaluations.drop((row.job, row.version))
        self._add(change)

    def append(self, event: LearningEvent) -> None:
        """Adds the event of the next revision; the oldest makes room."""
        self.revision = event.revision
        self.events.append(event)
        self._add(row_hash(event))
        if len(self.events) > Limits.EVENTS_KEPT:
            self.event_floor += 1
            self._add(-row_hash(self.events.popleft()))

    def load(self, rows: Iterable[Row], events: Iterable[LearningEvent], event_floor: int) -> None:
        """Fills an empty store with what another one held."""
        for row in rows:
            self.put(row)
        for event in events:
            self.events.append(event)
            self._add(row_hash(event))
        self.event_floor = event_floor

    def is_opted_out(self, node: str, job: str) -> bool:
        """Whether a node's owner keeps it out of a job."""
        return (node, "") in self.opt_outs or (node, job) in self.opt_outs

    def versions_of(self, job: str) -> list[Version]:
        """The versions of a job, the oldest first."""
        return [version for version in self.versions if version.job == job]

    def intents_of(self, job: str) -> list[UnmaskIntent]:
        """The intents of a job, the oldest first."""
        return [intent for intent in self.intents if intent.job == job]

    def _add(self, change: int) -> None:
        self.hash_sum = (self.hash_sum + change) & HASH_MASK
