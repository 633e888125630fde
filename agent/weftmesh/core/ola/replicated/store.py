"""The rows of the machine of agreements in tables, the history, the events of late, and the sum of all their hashes."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import Any, Final

from weftmesh.core.board.hashing import HASH_MASK
from weftmesh.core.ola.replicated.hashing import chunk_hash, row_hash
from weftmesh.core.ola.replicated.history import Chunk, History
from weftmesh.core.ola.replicated.outcomes import OlaEvent
from weftmesh.core.ola.replicated.rows import (
    AddedExclusion,
    Attendance,
    Breach,
    Confirmation,
    Generation,
    Limits,
    NodeWindow,
    ObjectiveCount,
    Override,
    OverrideKind,
    Row,
    SlowWeights,
    Standing,
)
from weftmesh.core.tables import Table


class Store:
    """Everything that the machine keeps, but for remembered requests."""

    def __init__(self, revision: int = 0) -> None:
        self.revision = revision
        self.newest_s = 0
        """Where the newest window starts; 0 before the first."""
        self.standings: Final = Table[str, Standing](row_hash)
        self.generations: Final = Table[tuple[str, int], Generation](row_hash)
        self.exclusions: Final = Table[tuple[str, int], AddedExclusion](row_hash)
        self.windows: Final = Table[tuple[str, int], NodeWindow](row_hash)
        """By node and start."""
        self.attendances: Final = Table[tuple[str, int], Attendance](row_hash)
        """By node and day."""
        self.confirmations: Final = Table[tuple[str, int], Confirmation](row_hash)
        self.overrides: Final = Table[tuple[str, OverrideKind, str], Override](row_hash)
        """By route, kind and endpoint."""
        self.weights: Final = Table[str, SlowWeights](row_hash)
        self.breaches: Final = Table[tuple[str, str, int], Breach](row_hash)
        """By agreement, objective and start."""
        self.history: Final = History(chunk_hash)
        self.events: Final[deque[OlaEvent]] = deque()
        self.event_floor = revision
        """Events up to this revision may be gone."""
        self.hash_sum = 0
        self._objective_keys: dict[str, tuple[int, frozenset[str]]] = {}
        """By agreement, with the generation that they are of: a window asks for all of them."""
        self._tables: Final[Mapping[type[Row], Table[Any, Any]]] = {
            Standing: self.standings,
            Generation: self.generations,
            AddedExclusion: self.exclusions,
            NodeWindow: self.windows,
            Attendance: self.attendances,
            Confirmation: self.confirmations,
            Override: self.overrides,
            SlowWeights: self.weights,
            Breach: self.breaches,
        }

    def rows(self) -> Iterator[Row]:
        """All rows, table by table."""
        for table in self._tables.values():
            yield from table

    def put(self, row: Row) -> None:
        """Adds or replaces a row."""
        self._add(self._tables[type(row)].put(_key(row), row))

    def drop(self, row: Row) -> None:
        """Removes a row that is here."""
        self._add(self._tables[type(row)].drop(_key(row)))
        if isinstance(row, Standing):
            self._objective_keys.pop(row.name, None)  # its name may come back, with a generation 1 that says otherwise

    def count(self, starts_s: int, counts: tuple[ObjectiveCount, ...]) -> None:
        """Adds a node's window to history, which gets as much older as the window is newer than those before."""
        self._add(self.history.add(starts_s, counts))
        if starts_s > self.newest_s:
            self.newest_s = starts_s
            self._add(self.history.age(starts_s))

    def forget_history(self, name: str) -> None:
        """Drops the counts of one agreement."""
        self._add(self.history.forget(name))

    def append(self, event: OlaEvent) -> None:
        """Adds an event; the oldest makes room."""
        self.events.append(event)
        self._add(row_hash(event))
        if len(self.events) > Limits.EVENTS_KEPT:
            oldest = self.events.popleft()
            self.event_floor = oldest.revision
            self._add(-row_hash(oldest))

    def load(self, rows: Iterable[Row], chunks: Iterable[Chunk], events: Iterable[OlaEvent]) -> None:
        """Fills an empty store with what another one held.

        Raises:
            ValueError: a chunk is none.
        """
        for row in rows:
            self.put(row)
        for chunk in chunks:
            self._add(self.history.put(chunk))
        for event in events:
            self.events.append(event)
            self._add(row_hash(event))

    def in_force(self, name: str) -> Generation | None:
        """The agreement of that name, unless it is retired."""
        standing = self.standings.get(name)
        return None if standing is None or standing.retired else self.generations[name, standing.generation]

    def all_in_force(self) -> list[Generation]:
        """All that are not retired, in the order in which their names came."""
        return [self.generations[one.name, one.generation] for one in self.standings if not one.retired]

    def objective_keys(self, name: str) -> frozenset[str]:
        """The keys of the objectives of an agreement in force; none of one that is not."""
        standing = self.standings.get(name)
        if standing is None or standing.retired:
            return frozenset()
        number, keys = self._objective_keys.get(name, (0, frozenset()))
        if number != standing.generation:
            agreement = self.generations[name, standing.generation].agreement
            keys = frozenset(one.key for one in agreement.objectives)
            self._objective_keys[name] = (standing.generation, keys)
        return keys

    def exclusions_of(self, name: str) -> list[AddedExclusion]:
        """What was added to an agreement, the oldest first."""
        return [one for one in self.exclusions if one.name == name]

    def breaches_of(self, name: str, objective: str) -> list[Breach]:
        """The breaches of an objective, as they came."""
        return [one for one in self.breaches if (one.name, one.objective) == (name, objective)]

    def _add(self, change: int) -> None:
        self.hash_sum = (self.hash_sum + change) & HASH_MASK


def _key(row: Row) -> Hashable:
    match row:
        case Standing(name=name):
            return name
        case Generation() | AddedExclusion():
            return row.name, row.number
        case NodeWindow() | Confirmation():
            return row.node, row.starts_s
        case Attendance():
            return row.node, row.day_s
        case Override():
            return row.route, row.kind, row.endpoint
        case SlowWeights():
            return row.route
        case Breach():
            return row.name, row.objective, row.started_s
