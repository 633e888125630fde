"""The rows of the learning machine in tables, the events of late, and the sum of their hashes."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable, Iterator
from typing import Final, Generic, TypeVar

from weftmesh.core.board.hashing import HASH_MASK
from weftmesh.core.learning.hashing import row_hash
from weftmesh.core.learning.model import Evaluation, Job, Limits, OptOut, Round, RoundKind, Row, UnmaskIntent, Version
from weftmesh.core.learning.outcomes import LearningEvent

_Key = TypeVar("_Key", bound=Hashable)
_Row = TypeVar("_Row", bound=Row)


class Table(Generic[_Key, _Row]):
    """Rows by key, in the order in which they came."""

    def __init__(self) -> None:
        self._rows: dict[_Key, _Row] = {}

    def get(self, key: _Key) -> _Row | None:
        """The row under `key`."""
        return self._rows.get(key)

    def __getitem__(self, key: _Key) -> _Row:
        return self._rows[key]

    def __contains__(self, key: _Key) -> bool:
        return key in self._rows

    def __iter__(self) -> Iterator[_Row]:
        return iter(self._rows.values())

    def __len__(self) -> int:
        return len(self._rows)

    def put(self, key: _Key, row: _Row) -> int:
        """Adds or replaces a row; returns by how much the sum of hashes changes."""
        before = self._rows.get(key)
        self._rows[key] = row
        return row_hash(row) - (0 if before is None else row_hash(before))

    def drop(self, key: _Key) -> int:
        """Removes a row; returns by how much the sum of hashes changes."""
        return -row_hash(self._rows.pop(key))


class Store:
    """Everything that the learning machine keeps, but for remembered requests."""

    def __init__(self, revision: int = 0) -> None:
        self.revision = revision
        self.jobs: Final = Table[str, Job]()
        self.opt_outs: Final = Table[tuple[str, str], OptOut]()
        """By node and job."""
        self.rounds: Final = Table[bytes, Round]()
        self.intents: Final = Table[tuple[str, RoundKind, int], UnmaskIntent]()
        """By job, kind of round and base version."""
        self.versions: Final = Table[tuple[str, int], Version]()
        self.evaluations: Final = Table[tuple[str, int], Evaluation]()
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
